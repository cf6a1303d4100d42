"""The figures of evaluations in a report: metrics over the training, confusion matrix and curves."""

from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from pslgs.reporting.drawing import COLOURS, drawing, legend, over_steps, svg
from pslgs.reporting.history import History, condensed
from pslgs.spec.metrics import Metric, percentage
from pslgs.telemetry.evaluation_details import ClassCurve, EvaluationDetails

_LINES = ("one", "two", "three", "four", "five", "six")
_STYLES = tuple((COLOURS[colour], line) for line in ("-", "--") for colour in _LINES)
"""Colours and lines of curves, which differ for up to twelve classes."""
_DRAWN_CLASSES = 50
"""Number of classes up to which the confusion matrix is drawn."""
_NAMED_CLASSES = 25
_COUNTED_CLASSES = 12
_NAME_LENGTH = 14
_HIDDEN = (Metric.MACRO_PRECISION, Metric.MACRO_RECALL)
"""Metrics that are in the table only, so that the lines of the figure can be distinguished."""


def metrics_figure(history: History) -> str | None:
    """Draw the metrics that are shares over the steps, without the accuracy, which has its own figure."""
    evaluations = history.evaluations
    names = dict.fromkeys(name for record in evaluations for name in record.metrics if percentage(name))
    shown = [name for name in names if name != Metric.ACCURACY and name not in _HIDDEN]
    lines = {
        name: [
            (record.step, value) for record in evaluations if (value := record.metrics.get(name)) is not None
        ]
        for name in shown
    }
    if not any(lines.values()):
        return None
    with drawing() as (figure, axes):
        for (name, points), colour in zip(lines.items(), cycle(_LINES), strict=False):
            line = condensed([step for step, _ in points], [value for _, value in points])
            axes.plot(line.x, line.mean, "o-", color=COLOURS[colour], markersize=3, label=name)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        over_steps(axes)
        legend(axes, 2)
        return svg(figure, "metrics")


def confusion_figure(details: EvaluationDetails | None) -> str | None:
    """Draw the confusion matrix; the shade of a cell is its share of the samples of its class."""
    matrix = np.array(details.confusion if details else ())
    if details is None or not matrix.size or len(matrix) > _DRAWN_CLASSES:
        return None
    names = [_shortened(each.name) for each in details.classes]
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    with drawing(1.6 + min(4.0, 0.45 * len(matrix))) as (figure, axes):
        for row, column in zip(*np.nonzero(matrix), strict=True):
            right = row == column
            axes.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5),
                    1,
                    1,
                    facecolor=COLOURS["one" if right else "alarm"],
                    alpha=0.1 + 0.6 * float(shares[row, column]),
                    linewidth=0,
                )
            )
            if len(matrix) <= _COUNTED_CLASSES:
                axes.text(column, row, f"{matrix[row, column]:,}", ha="center", va="center", fontsize=9)
        axes.set_xlim(-0.5, len(matrix) - 0.5)
        axes.set_ylim(len(matrix) - 0.5, -0.5)
        axes.grid(visible=False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("class")
        if len(matrix) <= _NAMED_CLASSES:
            turned = max(map(len, names)) * len(names) > 50
            axes.set_xticks(range(len(names)), names, rotation=90 if turned else 0)
            axes.set_yticks(range(len(names)), names)
        return svg(figure, "confusion")


def roc_figure(details: EvaluationDetails | None) -> str | None:
    """Draw the ROC curve of each class."""
    if details is None or not details.curves:
        return None
    areas = {each.name: each.auroc for each in details.classes}
    with drawing(3.4) as (figure, axes):
        axes.plot([0, 1], [0, 1], ":", color=COLOURS["ink"], linewidth=1)
        for curve, (colour, line) in zip(details.curves, _STYLES, strict=False):
            label = _labelled(curve, areas, details, len(details.curves))
            axes.plot(curve.false_positive_rate, curve.recall, line, color=colour, linewidth=1.3, label=label)
        _unit_square(axes, "false positive rate", "true positive rate (recall)")
        return svg(figure, "roc")


def precision_recall_figure(details: EvaluationDetails | None) -> str | None:
    """Draw the precision-recall curve of each class."""
    if details is None or not details.curves:
        return None
    areas = {each.name: each.average_precision for each in details.classes}
    with drawing(3.4) as (figure, axes):
        for curve, (colour, line) in zip(details.curves, _STYLES, strict=False):
            label = _labelled(curve, areas, details, len(details.curves))
            axes.plot(curve.recall, curve.precision, line, color=colour, linewidth=1.3, label=label)
        _unit_square(axes, "recall", "precision")
        return svg(figure, "precision-recall")


def _labelled(
    curve: ClassCurve, areas: dict[str, float | None], details: EvaluationDetails, curves: int
) -> str:
    """Return name and area; that of the second of two classes stands only among the metrics."""
    area = areas.get(curve.name) if curves > 1 or len(details.classes) != 2 else None
    return _shortened(curve.name) + (f" {area:.3f}" if area is not None else "")


def _unit_square(axes: Axes, across: str, up: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
