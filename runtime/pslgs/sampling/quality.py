"""The judgement of a global batch by the classes that are in it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pslgs.sampling.deviation import batch_deviation, deviation_bound, expected_deviation

CONFIDENCE = 0.99
"""Of the bound that is reported."""


class Quality(NamedTuple):
    """How far a batch's class mix lies from the pooled one: as it is, as expected, as bounded."""

    deviation: float | None = None
    expected: float | None = None
    bound: float | None = None


def judge(classes: NDArray[np.int64], pooled: NDArray[np.int64] | None) -> Quality:
    """Judge a global batch.

    Args:
        classes: The class of each of its samples, at least one; shape (B,).
        pooled: All clients' samples of each class; shape (classes,).  None where there are no classes.
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
