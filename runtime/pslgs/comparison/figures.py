"""Figures of a comparison as SVG; a function returns None if there is nothing to draw."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from pslgs.comparison.chosen_metric import Spread, axis_label, value_in
from pslgs.comparison.summary import Comparison, StrategySummary
from pslgs.comparison.trial import Evaluation, TrialResult
from pslgs.costs.quantities import seconds
from pslgs.reporting.drawing import COLOURS, drawing, legend, over_steps, svg, whole_numbers
from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.result import Steps
from pslgs.spec.metrics import percentage
from pslgs.spec.training import SamplingStrategy

BINS = 40
Floats = NDArray[np.float64]


class Line(NamedTuple):
    """A line of means over seeds with the range of the seeds; arrays of shape (points,)."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def over_the_epoch(results: Sequence[TrialResult], column: Callable[[Steps], Floats]) -> Line:
    """Average a figure of the steps over `BINS` parts of an epoch, all epochs and seeds together.

    ``x`` is the completed part of the epoch, so that epochs of different lengths can be averaged.  ``low``
    and ``high`` are the extremes of the means in single seeds.
    """
    rows = np.array([_profile(each.steps, column(each.steps)) for each in results])
    known = ~np.isnan(rows).all(axis=0)
    x = (np.arange(BINS) + 0.5)[known] / BINS
    rows = rows[:, known]
    return Line(x, np.nanmean(rows, axis=0), np.nanmin(rows, axis=0), np.nanmax(rows, axis=0))


def values(
    results: Sequence[TrialResult],
    figure: Callable[[Evaluation], float | None],
    place: Callable[[TrialResult, Evaluation], float],
) -> Line:
    """Average a figure over seeds, evaluation by evaluation, at their mean place on the axis.

    Evaluations in which it is unknown for a seed are left out.
    """
    length = min((len(each.evaluations) for each in results), default=0)
    rows = np.array(
        [[figure(each.evaluations[i]) for i in range(length)] for each in results], dtype=np.float64
    )
    places = np.array([[place(each, each.evaluations[i]) for i in range(length)] for each in results])
    if not rows.size or np.isnan(places).any():
        return Line(*(np.empty(0) for _ in Line._fields))
    known = ~np.isnan(rows).any(axis=0)
    rows = rows[:, known]
    return Line(places.mean(axis=0)[known], rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0))


def _profile(steps: Steps, values: Floats) -> Floats:
    """Return the mean of ``values`` in each part of an epoch; NaN in parts without a known value."""
    part = np.empty(len(steps), dtype=np.int64)
    for epoch in np.unique(steps.epoch):
        members = np.flatnonzero(steps.epoch == epoch)
        part[members] = np.arange(len(members)) * BINS // len(members)
    known = ~np.isnan(values)
    number = np.bincount(part[known], minlength=BINS)
    total = np.bincount(part[known], values[known], minlength=BINS)
    profile = np.full(BINS, np.nan)
    profile[number > 0] = total[number > 0] / number[number > 0]
    return profile


_COLUMNS: Final = 2
_HEIGHT: Final = 3.3


def draw_metric(comparison: Comparison) -> str | None:
    """Draw the job's metric over the steps."""
    return _draw_values(
        comparison, lambda _, evaluation: evaluation.step, _plain(comparison), "steps", over_steps
    )


def draw_recalibrated(comparison: Comparison) -> str | None:
    """Draw the job's metric with recalibrated BatchNorm statistics over the steps."""
    return _draw_values(
        comparison, lambda _, evaluation: evaluation.step, _recalibrated, "recalibrated", over_steps
    )


def draw_metric_over_time(comparison: Comparison) -> str | None:
    """Draw the job's metric over the modelled time."""

    def place(result: TrialResult, evaluation: Evaluation) -> float:
        return float(result.steps.modelled_seconds[: evaluation.step].sum())

    def over_time(axes: Axes) -> None:
        axes.set_xlabel("modelled time, logarithmic")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())

    return _draw_values(comparison, place, _plain(comparison), "time", over_time)


def draw_deviation(comparison: Comparison) -> str | None:
    """Draw the deviation over the epoch, with the expectation and the bound of a uniform batch."""
    uniform = comparison.uniform()
    if uniform.expected is None or uniform.bound is None:
        return None
    with drawing(_HEIGHT) as (figure, axes):
        _epoch_lines(axes, comparison, lambda steps: steps.deviation)
        axes.axhline(uniform.expected, linestyle="--", color=COLOURS["ink"], linewidth=1.0, label="expected")
        axes.axhline(uniform.bound, color=COLOURS["alarm"], linewidth=1.0, label="99 % bound")
        axes.set_ylabel("batch deviation")
        legend(axes, _COLUMNS)
        return svg(figure, "deviation")


def draw_batch_size(comparison: Comparison) -> str | None:
    """Draw the batch size over the epoch."""
    with drawing(_HEIGHT) as (figure, axes):
        _epoch_lines(axes, comparison, lambda steps: steps.batch_size.astype(np.float64))
        axes.set_ylabel("samples a step")
        whole_numbers(axes.yaxis)
        legend(axes, _COLUMNS)
        return svg(figure, "batch")


def draw_active_clients(comparison: Comparison) -> str | None:
    """Draw the active clients over the epoch."""
    with drawing(_HEIGHT) as (figure, axes):
        _epoch_lines(axes, comparison, lambda steps: steps.active_clients.astype(np.float64))
        axes.set_ylabel("active clients a step")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        legend(axes, _COLUMNS)
        return svg(figure, "active")


def draw_steps_per_epoch(comparison: Comparison) -> str | None:
    """Draw the steps of an epoch."""
    return _bars(comparison, lambda row: row.steps_per_epoch, "steps an epoch", 1.0)


def draw_traffic(comparison: Comparison) -> str | None:
    """Draw the bytes of an epoch."""
    return _bars(comparison, lambda row: row.bytes_per_epoch, "MB an epoch, both ways", 1e-6)


def draw_time_against_deviation(comparison: Comparison) -> str | None:
    """Draw LatentDirichlet's time and deviation, a point for each δ."""
    trades = comparison.trades()
    if not trades:
        return None
    with drawing() as (figure, axes):
        deviation, time = [each.deviation for each in trades], [each.epoch_seconds for each in trades]
        axes.plot(deviation, time, color=COLOURS["four"], linewidth=1.2, marker="o", markersize=4)
        for number, each in enumerate(trades):
            where, beside = (each.deviation, each.epoch_seconds), (5, -11 if number % 2 else 5)
            label = f"δ = {each.delay_weight:g}"
            axes.annotate(label, where, xytext=beside, textcoords="offset points", fontsize=9)
        axes.margins(x=0.12, y=0.15)
        axes.set_xlabel("mean batch deviation")
        axes.set_ylabel("modelled seconds an epoch")
        axes.set_ylim(bottom=0)
        return svg(figure, "trade")


def _plain(comparison: Comparison) -> Callable[[Evaluation], float | None]:
    return lambda evaluation: value_in(comparison.metric, evaluation)


def _recalibrated(evaluation: Evaluation) -> float | None:
    return evaluation.recalibrated


def _draw_values(
    comparison: Comparison,
    place: Callable[[TrialResult, Evaluation], float],
    figure_of: Callable[[Evaluation], float | None],
    name: str,
    label: Callable[[Axes], None],
) -> str | None:
    lines = {each: values(comparison.of(each), figure_of, place) for each in comparison.strategies}
    lines = {strategy: line for strategy, line in lines.items() if len(line.x)}
    if not lines:
        return None
    with drawing(_HEIGHT) as (figure, axes):
        for strategy, line in lines.items():
            _draw(axes, strategy, line)
        if percentage(comparison.metric):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylabel(axis_label(comparison.metric))
        label(axes)
        legend(axes, _COLUMNS)
        return svg(figure, f"accuracy-{name}")


def _epoch_lines(axes: Axes, comparison: Comparison, column: Callable[[Steps], np.ndarray]) -> None:
    for strategy in comparison.strategies:
        if STRATEGIES[strategy].draw is not None:
            _draw(axes, strategy, over_the_epoch(comparison.of(strategy), column))
    axes.set_xlabel("part of the epoch")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=0)


def _colour(strategy: str) -> str:
    return COLOURS[STRATEGIES[strategy].colour]


def _draw(axes: Axes, strategy: str, line: Line) -> None:
    colour, front = _colour(strategy), strategy == SamplingStrategy.GLOBAL
    axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        line.x,
        line.mean,
        color=colour,
        linewidth=2.0 if front else 1.2,
        zorder=3 if front else 2,
        label=strategy,
        marker="o" if len(line.x) == 1 else "",
    )


def _bars(
    comparison: Comparison, figure_of: Callable[[StrategySummary], Spread | None], label: str, scale: float
) -> str | None:
    shown = [(row.strategy, value) for row in comparison.rows() if (value := figure_of(row)) is not None]
    if not shown:
        return None
    with drawing(0.9 + 0.3 * len(shown)) as (figure, axes):
        places = np.arange(len(shown))
        means = [value.mean * scale for _, value in shown]
        spreads = [value.deviation * scale for _, value in shown]
        colours = [_colour(strategy) for strategy, _ in shown]
        axes.barh(places, means, xerr=spreads, color=colours, ecolor=COLOURS["faint"])
        axes.set_yticks(places, [strategy for strategy, _ in shown])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(label)
        return svg(figure, label.split(maxsplit=1)[0].lower())
