"""The quality of a global batch: its deviation, with the expected value and the bound."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pslgs.sampling.deviation import batch_deviation, deviation_bound, expected_deviation

CONFIDENCE = 0.99
"""Confidence level of the reported bound."""


class Quality(NamedTuple):
    """The deviation of a batch, with its expected value and bound; all None where there are no classes.

    Attributes:
        deviation: Batch deviation Δ.
        expected: Expected value of Δ for a uniformly drawn batch of this size.
        bound: Bound that Δ of such a batch exceeds with probability at most 1 − `CONFIDENCE`.
    """

    deviation: float | None = None
    expected: float | None = None
    bound: float | None = None


def judge(classes: NDArray[np.int64], pooled: NDArray[np.int64] | None) -> Quality:
    """Compute the quality of a global batch.

    Args:
        classes: The class of each sample in the batch, at least one; shape (B,).
        pooled: Number of samples of each class over all clients; shape (classes,).  None where labels are
            not classes.
    """
    samples = 0 if pooled is None else int(pooled.sum())
    if pooled is None or not samples:
        return Quality()
    proportions, batch = pooled / samples, min(len(classes), samples)
    return Quality(
        batch_deviation(np.bincount(classes, minlength=len(pooled)), proportions),
        expected_deviation(proportions, batch, samples),
        deviation_bound(len(pooled), batch, samples, CONFIDENCE),
    )
