"""What is counted of an evaluation's outputs and labels, and the metrics that follow from it.

Tallies can be added: of ranges to those of a client, and of clients to that of all data.  A metric that the
samples do not define, such as the AUROC of samples of one class, is None; it never raises.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pslgs.spec.metrics import Metric
from pslgs.training.ranking import Scores, auroc, average_precision

MAX_CONFUSED_CLASSES: Final = 100
"""Number of classes up to which a confusion matrix is counted, and scores are ranked."""

Values = dict[Metric, float | None]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Metrics of one class, or of one label of several: None where they are undefined."""

    samples: int
    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None
    average_precision: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Counts of each class, or of each label of several.

    Attributes:
        actual: Samples of the class; shape (classes,).
        predicted: Samples for which it is predicted; shape (classes,).
        correct: Samples of the class for which it is predicted; shape (classes,).
    """

    actual: Integers
    predicted: Integers
    correct: Integers

    def __add__(self, other: "Hits") -> "Hits":
        return Hits(
            self.actual + other.actual, self.predicted + other.predicted, self.correct + other.correct
        )

    def macro(self) -> Values:
        """Return means over the classes that occur among labels or predictions, as scikit-learn does.

        A class that is never predicted has a precision of 0, and one without samples a recall of 0.
        """
        occurs = (self.actual > 0) | (self.predicted > 0)
        if not occurs.any():
            return dict.fromkeys((Metric.MACRO_PRECISION, Metric.MACRO_RECALL, Metric.MACRO_F1))
        correct, actual, predicted = self.correct[occurs], self.actual[occurs], self.predicted[occurs]
        return {
            Metric.MACRO_PRECISION: float((correct / np.maximum(1, predicted)).mean()),
            Metric.MACRO_RECALL: float((correct / np.maximum(1, actual)).mean()),
            Metric.MACRO_F1: float((2 * correct / (actual + predicted)).mean()),
        }

    def figures(self, scores: Scores | None) -> list[ClassFigures]:
        """Return the metrics of each class; those of its ranking where it has scores of its own."""
        ranked = scores is not None and scores.classes == len(self.actual)
        return [
            ClassFigures(
                samples=int(actual),
                precision=_share(correct, predicted) if predicted or not actual else 0.0,
                recall=_share(correct, actual),
                f1=_share(2 * correct, actual + predicted),
                auroc=auroc(scores.counts(index)) if ranked and scores else None,
                average_precision=average_precision(scores.counts(index)) if ranked and scores else None,
            )
            for index, (actual, predicted, correct) in enumerate(
                zip(self.actual, self.predicted, self.correct, strict=True)
            )
        ]


@dataclass(frozen=True, slots=True, eq=False)
class ClassTally:
    """Counts of predictions of classes that exclude each other.

    Attributes:
        hits: Counts of each class.  A sample whose outputs are not finite has no prediction.
        confusion: Samples by class and predicted class; shape (classes, classes).  None for more classes
            than `MAX_CONFUSED_CLASSES`.
        scores: Scores of each class, or of class 1 of two; None if there are too many classes.
    """

    hits: Hits
    confusion: Integers | None
    scores: Scores | None

    def __add__(self, other: "ClassTally") -> "ClassTally":
        return ClassTally(
            self.hits + other.hits,
            None if self.confusion is None or other.confusion is None else self.confusion + other.confusion,
            None if self.scores is None or other.scores is None else self.scores + other.scores,
        )

    def metrics(self) -> Values:
        """Return the metrics of all samples."""
        actual, correct = self.hits.actual, self.hits.correct
        there = actual > 0
        return {
            Metric.ACCURACY: _share(correct.sum(), actual.sum()),
            Metric.BALANCED_ACCURACY: float((correct[there] / actual[there]).mean()) if there.any() else None,
            **self.hits.macro(),
            **_areas(self.scores),
        }

    def figures(self) -> list[ClassFigures]:
        """Return the metrics of each class."""
        return self.hits.figures(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class LabelTally:
    """Counts of predictions of several labels a sample, which do not exclude each other.

    Attributes:
        samples: Number of samples.
        hits: Counts of each label.  A sample whose outputs are not finite has none predicted.
        right: Labels that are predicted right, present or not, over all samples.
        all_right: Samples all of whose labels are predicted right.
        scores: Scores of each label; None if there are too many.
    """

    samples: int
    hits: Hits
    right: int
    all_right: int
    scores: Scores | None

    def __add__(self, other: "LabelTally") -> "LabelTally":
        return LabelTally(
            self.samples + other.samples,
            self.hits + other.hits,
            self.right + other.right,
            self.all_right + other.all_right,
            None if self.scores is None or other.scores is None else self.scores + other.scores,
        )

    def metrics(self) -> Values:
        """Return the metrics of all samples."""
        return {
            Metric.LABEL_ACCURACY: _share(self.right, self.samples * len(self.hits.actual)),
            Metric.SUBSET_ACCURACY: _share(self.all_right, self.samples),
            **self.hits.macro(),
            **_areas(self.scores),
        }

    def figures(self) -> list[ClassFigures]:
        """Return the metrics of each label."""
        return self.hits.figures(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class ValueTally:
    """Sums over errors and labels of a regression, of shape (targets,) each.

    Attributes:
        samples: Number of samples.
        absolute: Sums of absolute errors.
        squared: Sums of squared errors.
        mean: Means of the labels.
        spread: Sums of squared distances of the labels from their means.
    """

    samples: int
    absolute: NDArray[np.float64]
    squared: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    def __add__(self, other: "ValueTally") -> "ValueTally":
        """Add, with means and spreads by Chan et al. (1983), which does not cancel as plain sums do."""
        samples = self.samples + other.samples
        share = other.samples / samples if samples else 0.0
        gap = other.mean - self.mean
        return ValueTally(
            samples,
            self.absolute + other.absolute,
            self.squared + other.squared,
            self.mean + gap * share,
            self.spread + other.spread + gap**2 * self.samples * share,
        )

    def metrics(self) -> Values:
        """Return the metrics over all samples and targets; not finite if an output is not.

        R² is the mean over the targets whose labels differ, None if there are none.
        """
        count = self.samples * len(self.absolute)
        varied = self.spread > 0
        r2 = float((1 - self.squared[varied] / self.spread[varied]).mean()) if varied.any() else None
        return {
            Metric.MEAN_ABSOLUTE_ERROR: float(self.absolute.sum()) / count if count else None,
            Metric.ROOT_MEAN_SQUARED_ERROR: float(self.squared.sum() / count) ** 0.5 if count else None,
            Metric.R2: r2,
        }

    def figures(self) -> list[ClassFigures]:
        """Return nothing, since there are no classes."""
        return []


Tally = ClassTally | LabelTally | ValueTally


def tally_classes(
    labels: Integers, predicted: Integers, scores: NDArray[np.float32], classes: int
) -> ClassTally:
    """Count samples of classes.

    Args:
        labels: Shape (n,).
        predicted: Class of the largest output; -1 for a sample whose outputs are not finite.  Shape (n,).
        scores: Log-odds of class 1 of two, or of each class; shape (n, 1) or (n, classes).
        classes: Number of classes.
    """
    known = predicted >= 0
    hits = Hits(
        np.bincount(labels, minlength=classes),
        np.bincount(predicted[known], minlength=classes),
        np.bincount(labels[labels == predicted], minlength=classes),
    )
    if classes > MAX_CONFUSED_CLASSES:
        return ClassTally(hits, None, None)
    pairs = np.bincount(labels[known] * classes + predicted[known], minlength=classes**2)
    ranked = np.arange(classes) if scores.shape[1] > 1 else np.array([1])
    belongs: NDArray[np.bool_] = labels[known].reshape(-1, 1) == ranked
    kept = ((scores[known], belongs),) if len(belongs) else ()
    return ClassTally(hits, pairs.reshape(classes, classes), Scores(scores.shape[1], kept))


def tally_labels(present: NDArray[np.bool_], outputs: NDArray[np.float32]) -> LabelTally:
    """Count samples with several labels.

    Args:
        present: Whether a sample has a label; shape (n, labels).
        outputs: Log-odds; shape (n, labels).
    """
    finite = np.asarray(np.isfinite(outputs).all(axis=1))
    predicted = (outputs > 0) & finite[:, None]
    right = (predicted == present) & finite[:, None]
    hits = Hits(*(each.sum(axis=0, dtype=np.int64) for each in (present, predicted, present & predicted)))
    kept = ((outputs[finite], present[finite]),) if finite.any() else ()
    few = present.shape[1] <= MAX_CONFUSED_CLASSES
    return LabelTally(
        len(present),
        hits,
        int(right.sum()),
        int(right.all(axis=1).sum()),
        Scores(present.shape[1], kept) if few else None,
    )


def tally_values(labels: NDArray[np.float64], outputs: NDArray[np.float64]) -> ValueTally:
    """Count samples of a regression; ``labels`` and ``outputs`` have the shape (n, targets)."""
    error = outputs - labels
    mean = labels.mean(axis=0) if len(labels) else np.zeros(labels.shape[1])
    return ValueTally(
        len(labels),
        np.abs(error).sum(axis=0),
        (error**2).sum(axis=0),
        mean,
        ((labels - mean) ** 2).sum(axis=0),
    )


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _areas(scores: Scores | None) -> Values:
    """Return the means over the classes for which the areas are defined."""
    counts = [scores.counts(index) for index in range(scores.classes)] if scores else []
    return {
        Metric.AUROC: _mean([auroc(each) for each in counts]),
        Metric.AVERAGE_PRECISION: _mean([average_precision(each) for each in counts]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
