"""Comparison of an evaluation with predictors that have learned nothing."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pslgs.spec.metrics import Metric, metric_in_text, write_metric
from pslgs.telemetry.records import EvaluationRecord

_STANDARD_ERRORS: Final = 2.0
"""Standard errors above a trivial predictor's share up to which a share is no better than it."""
_MAX_MARGIN: Final = 0.05
"""Limit of that margin, since with few samples a good model would be within it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A metric of a model, and of a predictor that does not look at the inputs.

    Attributes:
        metric: The metric.
        value: Its value for the model.
        trivial: Its value for the trivial predictor.
        margin: Difference up to which the model is no better.
    """

    metric: Metric
    value: float
    trivial: float
    margin: float = 0.0

    @property
    def is_better(self) -> bool:
        """Whether the model is better than the trivial predictor."""
        return self.value > self.trivial + self.margin

    def __str__(self) -> str:
        """Return both values, such as ``R2 -4.225 against 0``."""
        values = (write_metric(self.metric, each) for each in (self.value, self.trivial))
        return f"{metric_in_text(self.metric)} {' against '.join(values)}"


def comparisons(record: EvaluationRecord) -> list[Comparison]:
    """Compare an evaluation with trivial predictors in the metrics that tell more than the loss.

    The predictors are the mean of the labels (R2), the most common class (accuracy), any single class
    (balanced accuracy) and any constant (AUROC).  Empty if the evaluation defines none of these, as with
    labels of one class.
    """
    return [each for each in _all(record) if math.isfinite(each.value)]


def learned(found: list[Comparison]) -> bool:
    """Return whether any of the comparisons of an evaluation is better: rare classes lower some of them."""
    return any(each.is_better for each in found)


def _all(record: EvaluationRecord) -> Iterator[Comparison]:
    r2, auroc = record.metrics.get(Metric.R2), record.metrics.get(Metric.AUROC)
    if r2 is not None:
        yield Comparison(Metric.R2, r2, 0.0)
    held = _held(record)
    if held and record.accuracy is not None:
        yield _share(Metric.ACCURACY, record.accuracy, max(held) / sum(held), sum(held))
    balanced = record.metrics.get(Metric.BALANCED_ACCURACY)
    if held and balanced is not None:
        yield _share(Metric.BALANCED_ACCURACY, balanced, 1 / len(held), sum(held))
    if auroc is not None:
        yield _share(Metric.AUROC, auroc, 0.5, record.samples)


def _held(record: EvaluationRecord) -> list[int]:
    """Return the samples of each class that has some; empty unless there are two such classes."""
    counts = [sum(row) for row in record.details.confusion] if record.details else []
    held = [samples for samples in counts if samples]
    return held if len(held) > 1 else []


def _share(metric: Metric, value: float, trivial: float, samples: int) -> Comparison:
    """Compare shares, with a margin by the standard error of the mean of independent samples."""
    error = math.sqrt(trivial * (1 - trivial) / max(1, samples))
    return Comparison(metric, value, trivial, min(_MAX_MARGIN, _STANDARD_ERRORS * error))
