"""The figures of a report; each function returns an SVG element, or None if there are no data."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pslgs.reporting.drawing import COLOURS, drawing, legend, over_steps, svg, whole_numbers
from pslgs.reporting.history import History, condensed
from pslgs.telemetry.records import StepRecord

NAMED_CLIENTS = 40
PHASES = {
    "forward_wait": ("wait: smashed data", "one"),
    "server": ("server part", "two"),
    "backward_wait": ("wait: gradients", "three"),
    "update": ("update", "four"),
}


def deviation_figure(history: History) -> str | None:
    """Draw the batch deviation over the steps, with its expected value and bound."""
    steps = [step for step in history.steps if step.deviation is not None]
    if not steps:
        return None
    with drawing() as (figure, axes):
        _band(axes, steps, [step.deviation for step in steps], "deviation", "one")
        for label, values, colour, dashes in (
            ("expected", [step.deviation_expected for step in steps], "ink", "--"),
            ("99 % bound", [step.deviation_bound for step in steps], "alarm", "-"),
        ):
            line = condensed(_numbers(steps), np.array(values, float))
            axes.plot(line.x, line.mean, dashes, color=COLOURS[colour], linewidth=1.2, label=label)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("batch deviation")
        over_steps(axes)
        legend(axes, 3)
        return svg(figure, "deviation")


def loss_figure(history: History) -> str | None:
    """Draw the training loss over the steps, and the loss of the evaluations."""
    steps, evaluations = history.steps, history.evaluations
    if not steps and not evaluations:
        return None
    with drawing() as (figure, axes):
        if steps:
            _band(axes, steps, [step.loss for step in steps], "training", "one")
        if evaluations:
            losses = [record.loss for record in evaluations]
            _dots(axes, [record.step for record in evaluations], losses, "evaluation")
        axes.set_ylabel("mean loss")
        over_steps(axes)
        legend(axes, 2)
        return svg(figure, "loss")


def accuracy_figure(history: History) -> str | None:
    """Draw the accuracy of the evaluations over the steps."""
    scores = [(record.step, record.accuracy) for record in history.evaluations if record.accuracy is not None]
    if not scores:
        return None
    with drawing() as (figure, axes):
        _dots(axes, [step for step, _ in scores], [accuracy for _, accuracy in scores], "evaluation")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylabel("accuracy")
        over_steps(axes)
        return svg(figure, "accuracy")


def time_figure(history: History) -> str | None:
    """Draw the time of each phase of a step over the steps, as stacked areas."""
    steps = [step for step in history.steps if step.seconds]
    if not steps:
        return None
    phases = [phase for phase in PHASES if any(phase in step.seconds for step in steps)]
    phases += sorted({phase for step in steps for phase in step.seconds} - set(PHASES))
    lines = [
        condensed(_numbers(steps), [step.seconds.get(phase, 0.0) for step in steps], 100) for phase in phases
    ]
    peak = np.sum([line.mean for line in lines], axis=0).max()
    unit, factor = ("ms", 1000) if peak < 1 else ("s", 1)
    with drawing() as (figure, axes):
        axes.stackplot(
            lines[0].x,
            [line.mean * factor for line in lines],
            labels=[PHASES.get(phase, (phase, ""))[0] for phase in phases],
            colors=[COLOURS[PHASES.get(phase, ("", "faint"))[1]] for phase in phases],
        )
        axes.set_ylabel(f"{unit} per step")
        over_steps(axes)
        legend(axes, 2)
        return svg(figure, "time")


def samples_figure(history: History) -> str | None:
    """Draw the number of samples that each client contributed, and of those that were skipped."""
    used, skipped, clients = history.used_samples(), history.skipped_samples(), history.clients()
    if not clients:
        return None
    if len(clients) > NAMED_CLIENTS:
        return _samples_of_many(history)
    with drawing(0.9 + 0.22 * len(clients)) as (figure, axes):
        rows = np.arange(len(clients))
        contributed = [used[client] for client in clients]
        axes.barh(rows, contributed, color=COLOURS["one"], label="used")
        if skipped:
            missed = [skipped[client] for client in clients]
            axes.barh(rows, missed, left=contributed, color=COLOURS["alarm"], label="skipped")
            legend(axes, 2)
        axes.set_yticks(rows, [client if len(client) <= 24 else client[:23] + "…" for client in clients])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("samples, all epochs")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        whole_numbers(axes.xaxis)
        return svg(figure, "samples")


def active_figure(history: History) -> str | None:
    """Draw the number of active clients over the steps."""
    if not history.steps:
        return None
    with drawing() as (figure, axes):
        _band(axes, history.steps, [len(step.allocation) for step in history.steps], "active clients", "one")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("active clients")
        over_steps(axes)
        return svg(figure, "active")


def _samples_of_many(history: History) -> str:
    """Draw the samples of many clients, without names and sorted by their number."""
    used, skipped = history.used_samples(), history.skipped_samples()
    clients = sorted(history.clients(), key=lambda client: used[client], reverse=True)
    areas = {"used": ("one", used), "skipped": ("alarm", skipped)} if skipped else {"used": ("one", used)}
    with drawing() as (figure, axes):
        axes.stackplot(
            np.arange(1, len(clients) + 1),
            [[samples[client] for client in clients] for _, samples in areas.values()],
            labels=list(areas),
            colors=[COLOURS[colour] for colour, _ in areas.values()],
        )
        whole_numbers(axes.yaxis)
        axes.set_xlabel("clients, by samples used")
        axes.set_ylabel("samples, all epochs")
        legend(axes, 2)
        return svg(figure, "samples")


def _numbers(steps: Sequence[StepRecord]) -> list[int]:
    return [step.step for step in steps]


def _band(
    axes: Axes, steps: Sequence[StepRecord], values: Sequence[float | None], label: str, colour: str
) -> None:
    """Draw a line of means in a band from minimum to maximum."""
    line = condensed(_numbers(steps), np.array(values, float))
    axes.fill_between(line.x, line.low, line.high, color=COLOURS[colour], alpha=0.25, linewidth=0)
    axes.plot(
        line.x,
        line.mean,
        color=COLOURS[colour],
        linewidth=1.2,
        label=label,
        marker="" if len(steps) > 1 else "o",
    )


def _dots(axes: Axes, steps: Sequence[int], values: Sequence[float], label: str) -> None:
    line = condensed(steps, values)
    marker = "o" if len(steps) <= 50 else ""
    axes.plot(
        line.x, line.mean, color=COLOURS["two"], linewidth=1.2, marker=marker, markersize=4, label=label
    )
