"""The shuffled pool: the index of each client, repeated once per sample, in uniformly random order."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CACHED = 1 << 22
"""Maximum number of entries that are shuffled at once; random access to more misses the CPU's cache."""
BUCKETS = 256
"""Number of buckets into which a longer pool is divided."""
PIECE = 1 << 18
"""Number of entries that are made, or assigned to buckets, at a time."""

Pool = NDArray[np.unsignedinteger]
"""Client indices, of the smallest unsigned type that holds them all."""


def shuffled_pool(
    remaining: NDArray[np.int64], rng: np.random.Generator, *, cached: int = CACHED, piece: int = PIECE
) -> Pool:
    """Return the shuffled pool of clients with ``remaining`` samples; shape (samples,).

    The entries of a long pool are assigned to random buckets, which are then shuffled one by one (Rao
    1961, Sandelius 1962).  The result is a uniform permutation as well, in time linear in the samples.

    The pool takes 1 byte per sample for up to 256 clients, 2 for up to 65,536 and 4 for more, and another
    byte per sample while a long pool is made.  The order does not depend on the type.  It can be made in a
    thread without holding up others: NumPy releases the interpreter lock while it shuffles, and what it
    does not release the lock for is done in pieces.

    Args:
        remaining: Number of samples of each client, not negative; shape (clients,).
        rng: Random number generator.
        cached: Maximum number of entries that are shuffled at once.
        piece: Number of entries that are made, or assigned to buckets, at a time.
    """
    samples = int(remaining.sum())
    if samples <= cached:
        pool, first = np.empty(samples, dtype=_entry_type(remaining)), 0
        for entries in _pieces(remaining, piece):
            pool[first : first + len(entries)] = entries
            first += len(entries)
        rng.shuffle(pool)
        return pool
    keys = rng.integers(0, BUCKETS, size=samples, dtype=np.uint8)
    sizes = np.zeros(BUCKETS, dtype=np.int64)
    for first in range(0, samples, piece):
        sizes += np.bincount(keys[first : first + piece], minlength=BUCKETS)
    pool = np.empty(samples, dtype=_entry_type(remaining))
    _fill_buckets(pool, _pieces(remaining, piece), keys, np.cumsum(sizes) - sizes)
    for bucket in np.split(pool, np.cumsum(sizes)[:-1]):
        rng.shuffle(bucket)
    return pool


def _entry_type(remaining: NDArray[np.int64]) -> np.dtype[np.unsignedinteger]:
    return np.min_scalar_type(max(0, len(remaining) - 1))


def _pieces(remaining: NDArray[np.int64], piece: int) -> Iterator[Pool]:
    """Yield the unshuffled pool in pieces, so that it is never in memory as a whole."""
    ends, samples = np.cumsum(remaining), int(remaining.sum())
    for first in range(0, samples, piece):
        stop = min(first + piece, samples)
        low, high = np.searchsorted(ends, (first, stop - 1), side="right")
        inside = np.minimum(ends[low : high + 1], stop)
        clients = np.arange(low, high + 1).astype(_entry_type(remaining))
        yield np.repeat(clients, np.diff(inside, prepend=first))


def _fill_buckets(
    pool: Pool, pieces: Iterator[Pool], keys: NDArray[np.uint8], starts: NDArray[np.int64]
) -> None:
    """Put each entry into the bucket of its key; the buckets begin at ``starts``."""
    free, first = starts.copy(), 0
    for entries in pieces:
        chosen = keys[first : first + len(entries)]
        counts = np.bincount(chosen, minlength=BUCKETS)
        in_order = entries[np.argsort(chosen, kind="stable")]
        for bucket, part in enumerate(np.split(in_order, np.cumsum(counts)[:-1])):
            pool[free[bucket] : free[bucket] + len(part)] = part
        free += counts
        first += len(entries)
