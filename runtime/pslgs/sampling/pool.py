"""The shuffled pool: the index of each client, repeated once per sample, in uniformly random order."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CACHED = 1 << 22
"""Maximum number of entries that are shuffled at once; random access to more misses the CPU's cache."""
BUCKETS = 256
"""Number of buckets into which a longer pool is divided."""
PIECE = 1 << 20
"""Number of entries that are assigned to buckets at a time."""

Pool = NDArray[np.uint32]


def shuffled_pool(
    remaining: NDArray[np.int64], rng: np.random.Generator, *, cached: int = CACHED, piece: int = PIECE
) -> Pool:
    """Return the shuffled pool of clients with ``remaining`` samples; shape (samples,).

    The entries of a long pool are assigned to random buckets, which are then shuffled one by one (Rao
    1961, Sandelius 1962).  The result is a uniform permutation as well, in time linear in the samples.

    Args:
        remaining: Number of samples of each client, not negative; shape (clients,).
        rng: Random number generator.
        cached: Maximum number of entries that are shuffled at once.
        piece: Number of entries that are assigned to buckets at a time.
    """
    samples = int(remaining.sum())
    if samples <= cached:
        pool = np.repeat(np.arange(len(remaining), dtype=np.uint32), remaining)
        rng.shuffle(pool)
        return pool
    keys = rng.integers(0, BUCKETS, size=samples, dtype=np.uint8)
    sizes = np.zeros(BUCKETS, dtype=np.int64)
    for first in range(0, samples, piece):
        sizes += np.bincount(keys[first : first + piece], minlength=BUCKETS)
    pool = _in_buckets(_pieces(remaining, piece), keys, np.cumsum(sizes) - sizes)
    for bucket in np.split(pool, np.cumsum(sizes)[:-1]):
        rng.shuffle(bucket)
    return pool


def _pieces(remaining: NDArray[np.int64], piece: int) -> Iterator[Pool]:
    """Yield the unshuffled pool in pieces, so that it is never in memory as a whole."""
    ends = np.cumsum(remaining)
    for first in range(0, int(ends[-1]), piece):
        stop = min(first + piece, int(ends[-1]))
        low, high = np.searchsorted(ends, (first, stop - 1), side="right")
        inside = np.minimum(ends[low : high + 1], stop)
        yield np.repeat(np.arange(low, high + 1, dtype=np.uint32), np.diff(inside, prepend=first))


def _in_buckets(pieces: Iterator[Pool], keys: NDArray[np.uint8], starts: NDArray[np.int64]) -> Pool:
    """Return the entries ordered by bucket: each in the bucket of its key, which begins at ``starts``."""
    pool = np.empty(len(keys), dtype=np.uint32)
    free, first = starts.copy(), 0
    for entries in pieces:
        chosen = keys[first : first + len(entries)]
        counts = np.bincount(chosen, minlength=BUCKETS)
        in_order = entries[np.argsort(chosen, kind="stable")]
        for bucket, part in enumerate(np.split(in_order, np.cumsum(counts)[:-1])):
            pool[free[bucket] : free[bucket] + len(part)] = part
        free += counts
        first += len(entries)
    return pool
