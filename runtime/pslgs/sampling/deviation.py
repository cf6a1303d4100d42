"""How far a global batch's class mix lies from the pooled data's, and how far it may lie by chance."""

import numpy as np
from numpy.typing import NDArray


def batch_deviation(class_counts: NDArray[np.int64], proportions: NDArray[np.float64]) -> float:
    """Return Δ = Σ_c |n_c/B − p_c|, the L1 distance of a batch's class mix from the pooled one; 0 … 2.

    Args:
        class_counts: n_c, samples of each class in the batch, at least one in all; shape (classes,).
        proportions: p_c, pooled proportions, summing to 1; shape (classes,).
    """
    return float(np.abs(class_counts / class_counts.sum() - proportions).sum())


def expected_deviation(proportions: NDArray[np.float64], batch_size: int, samples: int) -> float:
    """Return E Δ ≈ Σ_c sqrt(2 Var(p̂_c)/π) of a uniform batch of B drawn without replacement from N samples.

    Var(p̂_c) = p_c(1−p_c)/B · (N−B)/(N−1) is the hypergeometric variance; the mean of |p̂_c − p_c| is that of
    a normal variable.
    """
    if samples <= batch_size:
        return 0.0
    variance = proportions * (1 - proportions) / batch_size * (samples - batch_size) / (samples - 1)
    return float(np.sqrt(2 * variance / np.pi).sum())


def deviation_bound(classes: int, batch_size: int, samples: int, confidence: float) -> float:
    """Return the ε that Δ of a uniform batch exceeds with probability at most 1 − confidence.

    Serfling (1974) in its L1 form, P(Δ ≥ ε) ≤ (2^M − 2)·exp(−Bε²/(2f)) with f = 1 − (B−1)/N, solved for ε;
    2 where the bound says less than that, since no Δ is larger.

    Args:
        classes: M.
        batch_size: B, at most N.
        samples: N, the size of the pooled data.
        confidence: Between 0 and 1, exclusive.
    """
    if classes < 2:
        return 0.0
    f = 1 - (batch_size - 1) / samples
    log_terms = classes * np.log(2) + np.log1p(-(2.0 ** (1 - classes)))
    return float(min(2.0, np.sqrt(2 * f / batch_size * (log_terms - np.log1p(-confidence)))))
