"""Slices of a local batch: computation of one slice overlaps with the transfer of another."""

from itertools import pairwise

SLICE_BYTES = 4 << 20
"""Maximum bytes of smashed data per slice: several chunks on the wire, and large enough to compute fast."""


def slice_rows(samples: int, bytes_per_sample: int) -> list[tuple[int, int]]:
    """Divide a local batch into slices whose sizes differ by at most one sample.

    Client and server, and repeated runs, use the same slices, because the last bits of the summed gradient
    depend on them.

    Args:
        samples: Number of samples in the local batch.
        bytes_per_sample: Size of one sample's smashed data in bytes.

    Returns:
        For each slice, the position of its first sample and its number of samples.
    """
    max_rows = max(1, SLICE_BYTES // max(1, bytes_per_sample))
    slices = -(-samples // max_rows)
    edges = [samples * i // slices for i in range(slices + 1)] if slices else [0]
    return [(first, stop - first) for first, stop in pairwise(edges)]


def overlapped(one: float, other: float, slices: int) -> float:
    """Return the duration of two pipelined activities, max + min / slices, in the unit of the arguments.

    The second activity processes a slice while the first processes the next one, so that the slower of the
    two waits for only one slice of the faster.

    Args:
        one: Duration of one activity by itself.
        other: Duration of the other activity by itself.
        slices: Number of slices.
    """
    return max(one, other) + min(one, other) / max(1, slices)
