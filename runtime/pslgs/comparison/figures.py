"""The figures of a comparison; None where there is nothing to draw."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from pslgs.comparison.comparison import Comparison
from pslgs.comparison.curves import Line, accuracies, over_the_epoch
from pslgs.comparison.outcome import Evaluation, Outcome
from pslgs.comparison.rows import Row, Spread
from pslgs.planning.words import seconds
from pslgs.reporting.drawing import COLOURS, drawing, legend, over_steps, svg, whole_numbers
from pslgs.simulation.choices import SimulatedStrategy
from pslgs.simulation.result import Steps

COLOUR: Final[Mapping[SimulatedStrategy, str]] = {
    SimulatedStrategy.GLOBAL: "one",
    SimulatedStrategy.FIXED_LOCAL: "two",
    SimulatedStrategy.FIXED_PROPORTIONAL_LOCAL: "three",
    SimulatedStrategy.LATENT_DIRICHLET: "four",
    SimulatedStrategy.CENTRALIZED: "ink",
    SimulatedStrategy.SEQUENTIAL_SPLIT: "five",
    SimulatedStrategy.FEDERATED_AVERAGING: "six",
}
_COLUMNS: Final = 2
_HEIGHT: Final = 3.3


def accuracy_over_steps(comparison: Comparison) -> str | None:
    """Draw the accuracies over the steps."""
    return _accuracies(comparison, lambda _, evaluation: evaluation.step, _plain, "steps", over_steps)


def recalibrated_over_steps(comparison: Comparison) -> str | None:
    """Draw the accuracies with recalibrated BatchNorm statistics over the steps."""
    return _accuracies(
        comparison, lambda _, evaluation: evaluation.step, _recalibrated, "recalibrated", over_steps
    )


def accuracy_over_time(comparison: Comparison) -> str | None:
    """Draw the accuracies over the modelled time."""

    def place(outcome: Outcome, evaluation: Evaluation) -> float:
        return float(outcome.steps.modelled_seconds[: evaluation.step].sum())

    def over_time(axes: Axes) -> None:
        axes.set_xlabel("modelled time, logarithmic")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())

    return _accuracies(comparison, place, _plain, "time", over_time)


def deviation_over_epoch(comparison: Comparison) -> str | None:
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


def batch_size_over_epoch(comparison: Comparison) -> str | None:
    """Draw the batch size over the epoch."""
    with drawing(_HEIGHT) as (figure, axes):
        _epoch_lines(axes, comparison, lambda steps: steps.batch_size.astype(np.float64))
        axes.set_ylabel("samples a step")
        whole_numbers(axes.yaxis)
        legend(axes, _COLUMNS)
        return svg(figure, "batch")


def active_clients_over_epoch(comparison: Comparison) -> str | None:
    """Draw the active clients over the epoch."""
    with drawing(_HEIGHT) as (figure, axes):
        _epoch_lines(axes, comparison, lambda steps: steps.active_clients.astype(np.float64))
        axes.set_ylabel("active clients a step")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        legend(axes, _COLUMNS)
        return svg(figure, "active")


def steps_per_epoch(comparison: Comparison) -> str | None:
    """Draw the steps of an epoch; a round of federated averaging is none."""

    def of_steps(row: Row) -> Spread | None:
        return None if row.strategy is SimulatedStrategy.FEDERATED_AVERAGING else row.steps_per_epoch

    return _bars(comparison, of_steps, "steps an epoch", 1.0)


def traffic(comparison: Comparison) -> str | None:
    """Draw the bytes of an epoch."""
    return _bars(comparison, lambda row: row.bytes_per_epoch, "MB an epoch, both ways", 1e-6)


def time_against_deviation(comparison: Comparison) -> str | None:
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


def _plain(evaluation: Evaluation) -> float | None:
    return evaluation.accuracy


def _recalibrated(evaluation: Evaluation) -> float | None:
    return evaluation.recalibrated


def _accuracies(
    comparison: Comparison,
    place: Callable[[Outcome, Evaluation], float],
    figure_of: Callable[[Evaluation], float | None],
    name: str,
    label: Callable[[Axes], None],
) -> str | None:
    lines = {each: accuracies(comparison.of(each), figure_of, place) for each in comparison.strategies}
    lines = {strategy: line for strategy, line in lines.items() if len(line.x)}
    if not lines:
        return None
    with drawing(_HEIGHT) as (figure, axes):
        for strategy, line in lines.items():
            _draw(axes, strategy, line)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylabel("accuracy")
        label(axes)
        legend(axes, _COLUMNS)
        return svg(figure, f"accuracy-{name}")


def _epoch_lines(axes: Axes, comparison: Comparison, column: Callable[[Steps], np.ndarray]) -> None:
    for strategy in comparison.strategies:
        if strategy is not SimulatedStrategy.FEDERATED_AVERAGING:  # its only step is a whole round
            _draw(axes, strategy, over_the_epoch(comparison.of(strategy), column))
    axes.set_xlabel("part of the epoch")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=0)


def _draw(axes: Axes, strategy: SimulatedStrategy, line: Line) -> None:
    colour, front = COLOURS[COLOUR[strategy]], strategy is SimulatedStrategy.GLOBAL
    axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        line.x,
        line.mean,
        color=colour,
        linewidth=2.0 if front else 1.2,
        zorder=3 if front else 2,
        label=strategy.value,
        marker="o" if len(line.x) == 1 else "",
    )


def _bars(
    comparison: Comparison, figure_of: Callable[[Row], Spread | None], label: str, scale: float
) -> str | None:
    shown = [(row.strategy, value) for row in comparison.rows() if (value := figure_of(row)) is not None]
    if not shown:
        return None
    with drawing(0.9 + 0.3 * len(shown)) as (figure, axes):
        places = np.arange(len(shown))
        means = [value.mean * scale for _, value in shown]
        spreads = [value.deviation * scale for _, value in shown]
        colours = [COLOURS[COLOUR[strategy]] for strategy, _ in shown]
        axes.barh(places, means, xerr=spreads, color=colours, ecolor=COLOURS["faint"])
        axes.set_yticks(places, [strategy.value for strategy, _ in shown])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(label)
        return svg(figure, label.split(maxsplit=1)[0].lower())
