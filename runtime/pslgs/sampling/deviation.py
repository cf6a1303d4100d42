"""Batch deviation: its expectation, its bound, and the figures of one global batch."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def batch_deviation(class_counts: NDArray[np.int64], proportions: NDArray[np.float64]) -> float:
    """Return the batch deviation Δ = Σ_c |n_c/B − p_c|, an L1 distance between 0 and 2.

    Args:
        class_counts: n_c, number of samples of each class in the batch, with a sum B of at least 1;
            shape (classes,).
        proportions: p_c, proportion of each class in the pooled data, summing to 1; shape (classes,).
    """
    return float(np.abs(class_counts / class_counts.sum() - proportions).sum())


def expected_deviation(proportions: NDArray[np.float64], batch_size: int, samples: int) -> float:
    """Return E Δ ≈ Σ_c sqrt(2 Var(p̂_c)/π) for a batch drawn uniformly and without replacement.

    Var(p̂_c) = p_c(1−p_c)/B · (N−B)/(N−1) is the variance of the hypergeometric distribution.  The mean of
    |p̂_c − p_c| is approximated by that of a normal variable with this variance.

    Args:
        proportions: p_c, proportion of each class in the pooled data, summing to 1; shape (classes,).
        batch_size: B.
        samples: N, number of samples in the pooled data.
    """
    if samples <= batch_size:
        return 0.0
    variance = proportions * (1 - proportions) / batch_size * (samples - batch_size) / (samples - 1)
    return float(np.sqrt(2 * variance / np.pi).sum())


def deviation_bound(classes: int, batch_size: int, samples: int, confidence: float) -> float:
    """Return the bound ε that Δ of a uniformly drawn batch exceeds with probability at most 1 − confidence.

    This is Serfling's inequality (1974) in its L1 form, P(Δ ≥ ε) ≤ (2^M − 2)·exp(−Bε²/(2f)) with
    f = 1 − (B−1)/N, solved for ε.  The result is at most 2, the maximum of Δ.

    Args:
        classes: M, number of classes.
        batch_size: B, at most N.
        samples: N, number of samples in the pooled data.
        confidence: Between 0 and 1, exclusive.
    """
    if classes < 2:
        return 0.0
    f = 1 - (batch_size - 1) / samples
    log_terms = classes * np.log(2) + np.log1p(-(2.0 ** (1 - classes)))
    return float(min(2.0, np.sqrt(2 * f / batch_size * (log_terms - np.log1p(-confidence)))))


CONFIDENCE = 0.99
"""Confidence level of the reported bound."""


class BatchQuality(NamedTuple):
    """The deviation of a batch, with its expected value and bound; all None where there are no classes.

    Attributes:
        deviation: Batch deviation Δ.
        expected: Expected value of Δ for a uniformly drawn batch of this size.
        bound: Bound that Δ of such a batch exceeds with probability at most 1 − `CONFIDENCE`.
    """

    deviation: float | None = None
    expected: float | None = None
    bound: float | None = None


def batch_quality(classes: NDArray[np.int64], pooled: NDArray[np.int64] | None) -> BatchQuality:
    """Compute the quality of a global batch.

    Args:
        classes: The class of each sample in the batch, at least one; shape (B,).
        pooled: Number of samples of each class over all clients; shape (classes,).  None where labels are
            not classes.
    """
    samples = 0 if pooled is None else int(pooled.sum())
    if pooled is None or not samples:
        return BatchQuality()
    proportions, batch = pooled / samples, min(len(classes), samples)
    return BatchQuality(
        batch_deviation(np.bincount(classes, minlength=len(pooled)), proportions),
        expected_deviation(proportions, batch, samples),
        deviation_bound(len(pooled), batch, samples, CONFIDENCE),
    )
