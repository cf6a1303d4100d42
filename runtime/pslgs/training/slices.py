"""The slices in which a local batch is computed and travels, so that the two overlap."""

from itertools import pairwise

SLICE_BYTES = 4 << 20
"""Smashed data that a slice should not exceed: some chunks of the wire, and large enough to compute well."""


def slice_rows(samples: int, bytes_per_sample: int) -> list[tuple[int, int]]:
    """Cut a local batch into near-equal slices, (first, samples) each.

    Both sides cut alike, and always in the same way, since the sum of the slices' gradients depends on it in
    its last bits.
    """
    most = max(1, SLICE_BYTES // max(1, bytes_per_sample))
    slices = -(-samples // most)
    edges = [samples * i // slices for i in range(slices + 1)] if slices else [0]
    return [(first, stop - first) for first, stop in pairwise(edges)]


def overlapped(one: float, other: float, slices: int) -> float:
    """Return how long two activities take of which the second follows the first slice by slice.

    While the one works on a slice, the other works on the slice before, so the slower of them waits for one
    slice of the faster only: max + min / slices.
    """
    return max(one, other) + min(one, other) / max(1, slices)
