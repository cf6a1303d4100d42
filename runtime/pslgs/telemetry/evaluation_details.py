"""What a record of an evaluation contains beyond single figures: tables of classes, matrix and curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pslgs.training.ranking import Scores, curve
from pslgs.training.tally import ClassFigures, ClassTally, LabelTally, Tally

MAX_DETAILED_CLASSES: Final = 100
"""Number of classes up to which a record has a table of classes, and a confusion matrix."""
MAX_CURVES: Final = 10
"""Number of classes up to which a record has curves."""
CURVE_POINTS: Final = 100

_DIGITS: Final = 6
"""Decimals of what is only shown, so that journals stay small."""


@dataclass(frozen=True, slots=True)
class ClassEvaluation:
    """Results of one class, or of one label of several; None where they are undefined."""

    name: str
    samples: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    auroc: float | None = None
    average_precision: float | None = None


@dataclass(frozen=True, slots=True)
class ClassCurve:
    """Points of the ROC and of the precision-recall curve of one class at common thresholds."""

    name: str
    false_positive_rate: tuple[float, ...]
    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EvaluationDetails:
    """Results by class.

    Attributes:
        classes: Results of each class, in the order of the classes.
        confusion: Samples by class (rows) and predicted class (columns); empty for labels that do not
            exclude each other.
        curves: Curves of each class; of the second one if there are two.
    """

    classes: tuple[ClassEvaluation, ...]
    confusion: tuple[tuple[int, ...], ...] = ()
    curves: tuple[ClassCurve, ...] = ()


def evaluation_details(tally: Tally | None, names: Sequence[str]) -> EvaluationDetails | None:
    """Return the results by class; None without classes, or for more than `MAX_DETAILED_CLASSES`.

    Args:
        tally: Counts of the evaluation.
        names: Names of the classes; if there are fewer or more than classes, these are numbered.
    """
    figures = tally.figures() if tally is not None else []
    if not figures or len(figures) > MAX_DETAILED_CLASSES:
        return None
    known = list(names) if len(names) == len(figures) else [str(number) for number in range(len(figures))]
    confusion = tally.confusion if isinstance(tally, ClassTally) else None
    scores = tally.scores if isinstance(tally, (ClassTally, LabelTally)) else None
    return EvaluationDetails(
        tuple(_of_class(name, each) for name, each in zip(known, figures, strict=True)),
        () if confusion is None else tuple(map(tuple, confusion.tolist())),
        tuple(_curves(scores, known)) if scores is not None and scores.classes <= MAX_CURVES else (),
    )


def _of_class(name: str, figures: ClassFigures) -> ClassEvaluation:
    return ClassEvaluation(
        name,
        figures.samples,
        *(
            None if value is None else round(value, _DIGITS)
            for value in (
                figures.precision,
                figures.recall,
                figures.f1,
                figures.auroc,
                figures.average_precision,
            )
        ),
    )


def _curves(scores: Scores, names: Sequence[str]) -> list[ClassCurve]:
    ranked = names[1:] if scores.classes == 1 and len(names) == 2 else names  # one output distinguishes two
    found = [(name, curve(scores.counts(index), CURVE_POINTS)) for index, name in enumerate(ranked)]
    return [
        ClassCurve(name, *(tuple(each.round(_DIGITS).tolist()) for each in points))
        for name, points in found
        if points is not None
    ]
