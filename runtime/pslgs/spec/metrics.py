"""Metrics of an evaluation: their names, to which losses they apply, and which direction is better."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from pslgs.spec.loss import LabelKind, Loss, LossOptions


class Metric(StrEnum):
    """Metrics of an evaluation over all of its samples."""

    LOSS = "Loss"
    ACCURACY = "Accuracy"
    BALANCED_ACCURACY = "BalancedAccuracy"
    MACRO_PRECISION = "MacroPrecision"
    MACRO_RECALL = "MacroRecall"
    MACRO_F1 = "MacroF1"
    AUROC = "AUROC"
    AVERAGE_PRECISION = "AveragePrecision"
    LABEL_ACCURACY = "LabelAccuracy"
    SUBSET_ACCURACY = "SubsetAccuracy"
    MEAN_ABSOLUTE_ERROR = "MeanAbsoluteError"
    ROOT_MEAN_SQUARED_ERROR = "RootMeanSquaredError"
    R2 = "R2"


LOWER_IS_BETTER: Final = frozenset({Metric.LOSS, Metric.MEAN_ABSOLUTE_ERROR, Metric.ROOT_MEAN_SQUARED_ERROR})
UNBOUNDED: Final = LOWER_IS_BETTER | {Metric.R2}
"""Metrics that are no shares from 0 to 1."""
SHARES: Final = frozenset(Metric) - UNBOUNDED
RANKED: Final = frozenset({Metric.AUROC, Metric.AVERAGE_PRECISION})
"""Metrics of how well scores rank samples, which are computed for a limited number of classes only."""

_MACRO: Final = (
    Metric.MACRO_PRECISION,
    Metric.MACRO_RECALL,
    Metric.MACRO_F1,
    Metric.AUROC,
    Metric.AVERAGE_PRECISION,
)
_OF_CLASSES: Final = (Metric.LOSS, Metric.ACCURACY, Metric.BALANCED_ACCURACY, *_MACRO)
_OF_LABELS: Final = (Metric.LOSS, Metric.LABEL_ACCURACY, Metric.SUBSET_ACCURACY, *_MACRO)
_OF_VALUES: Final = (
    Metric.LOSS,
    Metric.MEAN_ABSOLUTE_ERROR,
    Metric.ROOT_MEAN_SQUARED_ERROR,
    Metric.R2,
)


def metrics_of(loss: Loss, labels: LabelKind, *, outputs: int | None = None) -> Sequence[Metric]:
    """Return the metrics of an evaluation with a loss.

    Args:
        loss: The loss of the job.
        labels: What the labels are for the loss Custom.
        outputs: Number of the model's outputs, on which those of BinaryCrossEntropy depend: one output
            distinguishes two classes, several are labels that do not exclude each other.  None if it is not
            known, for the metrics of both.
    """
    match loss:
        case Loss.CROSS_ENTROPY:
            return _OF_CLASSES
        case Loss.CUSTOM:
            return _OF_CLASSES if labels is LabelKind.CLASSES else _OF_VALUES
        case Loss.BINARY_CROSS_ENTROPY if outputs is None:
            return tuple(dict.fromkeys((*_OF_CLASSES, *_OF_LABELS)))
        case Loss.BINARY_CROSS_ENTROPY:
            return _OF_CLASSES if outputs == 1 else _OF_LABELS
        case Loss.MEAN_SQUARED_ERROR | Loss.HUBER:
            return _OF_VALUES


def default_metric(loss: Loss, options: LossOptions) -> Metric:
    """Return the metric by which models are compared if the manifest names none."""
    exclusive = Metric.ACCURACY in metrics_of(loss, options.labels)
    return Metric.ACCURACY if exclusive and loss is not Loss.BINARY_CROSS_ENTROPY else Metric.LOSS


def is_better(metric: str, value: float, than: float) -> bool:
    """Return whether a value of a metric is better than another."""
    return value < than if metric in LOWER_IS_BETTER else value > than


def percentage(metric: str) -> bool:
    """Return whether a metric is a share from 0 to 1, which is shown in percent."""
    return metric not in UNBOUNDED


def metric_in_text(metric: str) -> str:
    """Return a metric as a word of a sentence; those that are no ordinary words keep their spelling."""
    return metric.lower() if metric in {Metric.ACCURACY, Metric.LOSS} else metric


def write_metric(metric: str, value: float | None) -> str:
    """Return the value of a metric as text: a percentage, or four significant digits; – if undefined."""
    if value is None:
        return "–"
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%" if percentage(metric) else f"{value:.4g}"
