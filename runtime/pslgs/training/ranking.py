"""How well scores rank positive samples above negative ones: ROC and precision-recall curves, their areas.

Scores can be added over ranges of samples and over clients.  They are kept as they are up to `KEPT_SCORES`
numbers, which gives exact areas; beyond that they are counted in bins, so that memory is bounded.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

KEPT_SCORES: Final = 1 << 20
"""Number of scores (samples times classes) up to which areas are exact: 5 MiB of memory."""
_BINS_PER_UNIT: Final = 64
_LARGEST: Final = 16
BINS: Final = 2 * _LARGEST * _BINS_PER_UNIT + 1
"""Bins of the log-odds from -16 to 16, of a width of 1/64: neighbours differ by 1.6 % in their odds."""


class Counts(NamedTuple):
    """Positive and negative samples at each distinct score, by descending score; shape (scores,) each."""

    positive: NDArray[np.int64]
    negative: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of samples for one or several classes, and whether the samples belong to them.

    Attributes:
        classes: Number of classes that have scores, k.
        kept: Pairs of log-odds, float32 of shape (n, k), and of membership, bool of shape (n, k).
        binned: Samples in each bin that belong to a class, and that do not; shape (k, 2, `BINS`).  None as
            long as all scores are kept.
    """

    classes: int
    kept: tuple[tuple[NDArray[np.float32], NDArray[np.bool_]], ...] = ()
    binned: NDArray[np.int64] | None = None

    def __add__(self, other: "Scores") -> "Scores":
        kept = self.kept + other.kept
        if self.binned is None and other.binned is None and sum(each.size for each, _ in kept) <= KEPT_SCORES:
            return Scores(self.classes, kept)
        return Scores(self.classes, (), self._bins() + other._bins())

    def counts(self, index: int) -> Counts:
        """Count the samples at each distinct score for the class ``index``, 0 … k − 1."""
        if self.binned is not None:
            positive, negative = self.binned[index, :, ::-1]
            return Counts(positive, negative)
        if not self.kept:
            return Counts(np.zeros(0, np.int64), np.zeros(0, np.int64))
        scores = np.concatenate([each[:, index] for each, _ in self.kept])
        belongs = np.concatenate([each[:, index] for _, each in self.kept])
        distinct, inverse = np.unique(-scores, return_inverse=True)
        total = np.bincount(inverse, minlength=len(distinct))
        positive = np.bincount(inverse[belongs], minlength=len(distinct))
        return Counts(positive, total - positive)

    def _bins(self) -> NDArray[np.int64]:
        if self.binned is not None:
            return self.binned
        bins = np.zeros((self.classes, 2, BINS), np.int64)
        for scores, belongs in self.kept:
            limited = np.clip(scores, -_LARGEST, _LARGEST).astype(np.float64)
            place = np.rint((limited + _LARGEST) * _BINS_PER_UNIT).astype(np.int64)
            np.add.at(bins, (np.arange(self.classes), 1 - belongs.astype(np.int64), place), 1)
        return bins


def auroc(counts: Counts) -> float | None:
    """Return the area under the ROC curve; None without positive or without negative samples.

    It is the probability that a positive sample has a higher score than a negative one; ties count half.
    """
    positives, negatives = int(counts.positive.sum()), int(counts.negative.sum())
    if not positives or not negatives:
        return None
    below = negatives - np.cumsum(counts.negative)
    won = (counts.positive * (below + counts.negative / 2)).sum()
    return float(won / positives / negatives)


def average_precision(counts: Counts) -> float | None:
    """Return Σ (R_n − R_{n−1}) P_n over the scores, as scikit-learn does; None without positive samples."""
    positives = int(counts.positive.sum())
    if not positives:
        return None
    above = np.cumsum(counts.positive + counts.negative)
    precision = np.cumsum(counts.positive) / np.maximum(1, above)
    return float((counts.positive * precision).sum() / positives)


class Curve(NamedTuple):
    """Points of the ROC curve and of the precision-recall curve at common thresholds, from high to low.

    Attributes:
        false_positive_rate: Share of the negative samples above the threshold; shape (points,).
        recall: Share of the positive samples above it, which is the true positive rate; shape (points,).
        precision: Share of positive samples among those above it; shape (points,).
    """

    false_positive_rate: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


def curve(counts: Counts, points: int) -> Curve | None:
    """Return at most ``points`` points of the curves; None without positive or without negative samples."""
    positives, negatives = int(counts.positive.sum()), int(counts.negative.sum())
    if not positives or not negatives:
        return None
    occupied = np.flatnonzero(counts.positive + counts.negative)
    true, false = np.cumsum(counts.positive)[occupied], np.cumsum(counts.negative)[occupied]
    chosen = _spread(true / positives + false / negatives, points - 1)
    true, false = true[chosen], false[chosen]
    precision = true / (true + false)
    return Curve(
        np.concatenate([[0.0], false / negatives]),
        np.concatenate([[0.0], true / positives]),
        np.concatenate([precision[:1], precision]),
    )


def _spread(length: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Choose points that are evenly spread along a curve of ascending ``length``, with its ends."""
    if len(length) <= points:
        return np.arange(len(length))
    wanted = np.linspace(length[0], length[-1], points)
    return np.unique(np.searchsorted(length, wanted))
