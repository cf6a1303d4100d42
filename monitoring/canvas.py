"""A dashboard as a picture: every panel where its JSON has it, with the answers to its queries."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

_COLUMNS: Final = 24
_COLUMN_INCHES: Final = 0.62
_ROW_INCHES: Final = 0.33
_DOTS_PER_INCH: Final = 80
_LINES: Final = 12
"""Lines in a legend; further ones are drawn without a name."""
_SECOND_NAMES: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
_BYTE_NAMES: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


@dataclass(frozen=True, slots=True)
class Line:
    """A series: what it is called, and its values over seconds."""

    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A panel, and what its queries give."""

    panel: Mapping[str, Any]
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Picture:
    """A dashboard, and what is to be seen on it; marks are colours and seconds."""

    title: str
    answers: Sequence[Answer]
    marks: Sequence[tuple[str, float]]


def draw(picture: Picture, path: Path) -> None:
    """Draw a dashboard."""
    rows = 2 + max(each.panel["gridPos"]["y"] + each.panel["gridPos"]["h"] for each in picture.answers)
    size = (_COLUMNS * _COLUMN_INCHES, rows * _ROW_INCHES)
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, facecolor="#f4f5f5")
    figure.text(0.008, 1 - 1 / rows, picture.title, fontsize=15, weight="bold", va="center")
    for each in picture.answers:
        where = each.panel["gridPos"]
        if each.panel["type"] == "row":
            figure.text(0.008, 1 - (where["y"] + 2.6) / rows, each.panel["title"], fontsize=12, va="center")
        else:
            _draw_panel(figure, each, picture.marks, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None}, pil_kwargs={"optimize": True})


def _draw_panel(figure: Figure, answer: Answer, marks: Sequence[tuple[str, float]], rows: int) -> None:
    where = answer.panel["gridPos"]
    left, width = where["x"] / _COLUMNS, where["w"] / _COLUMNS
    bottom, height = 1 - (where["y"] + where["h"] + 2) / rows, where["h"] / rows
    card = figure.add_axes((left + 0.003, bottom + 0.15 / rows, width - 0.006, height - 0.3 / rows))
    card.set(xticks=[], yticks=[], facecolor="white")
    for spine in card.spines.values():
        spine.set_color("#dddddd")
    card.annotate(
        answer.panel["title"], (0, 1), (5, -4), "axes fraction", "offset points", va="top", weight="bold"
    )
    match answer.panel["type"]:
        case "timeseries":
            inside = (left + 0.045, bottom + 1.1 / rows, width - 0.055, height - 2.4 / rows)
            _draw_lines(figure.add_axes(inside), answer, marks)
        case "stat":
            _draw_numbers(card, answer)
        case "table":
            _draw_table(card, answer)


def _draw_lines(axes: Axes, answer: Answer, marks: Sequence[tuple[str, float]]) -> None:
    custom = answer.panel["fieldConfig"]["defaults"].get("custom", {})
    if custom.get("stacking", {}).get("mode") == "normal":
        _draw_stack(axes, answer)
    else:
        for number, line in enumerate(answer.lines):
            label = line.name if number < _LINES else None
            axes.plot(*zip(*_with_gaps(line.points), strict=True), label=label, linewidth=1)
    for colour, when in marks:
        axes.axvline(when, color=colour, linewidth=0.5, linestyle=":", alpha=0.6)
    axes.margins(x=0)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0), high + 0.05 * abs(high))
    unit = answer.panel["fieldConfig"]["defaults"]["unit"]
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, "s")))
    axes.tick_params(labelsize=7, length=2)
    axes.grid(color="#eeeeee")
    if answer.lines:
        axes.legend(fontsize=6, loc="upper left", ncols=2, framealpha=0.7, borderpad=0.2)


def _with_gaps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Break a line where the series was away."""
    step = min((b[0] - a[0] for a, b in pairwise(points)), default=0.0)
    broken = list(points[:1])
    for before, after in pairwise(points):
        if after[0] - before[0] > 1.5 * step:
            broken.append((after[0], math.nan))
        broken.append(after)
    return broken


def _draw_stack(axes: Axes, answer: Answer) -> None:
    times = sorted({at for line in answer.lines for at, _ in line.points})
    heights = [[dict(line.points).get(at, 0.0) for at in times] for line in answer.lines]
    axes.stackplot(times, heights, labels=[line.name for line in answer.lines], alpha=0.7)


def _draw_numbers(card: Axes, answer: Answer) -> None:
    unit = answer.panel["fieldConfig"]["defaults"]["unit"]
    only_names = answer.panel["options"]["textMode"] == "name"
    newest = max((line.points[-1][0] for line in answer.lines), default=0.0)
    shown = [line for line in answer.lines if line.points[-1][0] == newest]
    for number, line in enumerate(shown):
        value = line.name if only_names else written(line.points[-1][1], unit)
        place = (number + 0.5) / len(shown)
        size = 18 if len(value) < 12 else 9
        card.text(place, 0.42, value, ha="center", va="center", fontsize=size, color="#2a7d3f")
        if len(shown) > 1 and not only_names:
            card.text(place, 0.14, line.name, ha="center", va="center", fontsize=8)


def _draw_table(card: Axes, answer: Answer) -> None:
    options = answer.panel["transformations"][0]["options"]
    columns = {
        label: options["renameByName"][label]
        for label in sorted(options["indexByName"], key=options["indexByName"].get)
    }
    rows = [[line.labels.get(label, "") for label in columns] for line in answer.lines]
    for height, cells in enumerate([list(columns.values()), *rows]):
        for number, cell in enumerate(cells):
            place = (0.04 + number / len(columns), 0.82 - 0.1 * height)
            card.text(*place, cell, fontsize=9, weight="bold" if height == 0 else "normal")


def written(value: float, unit: str) -> str:
    """Write a value as Grafana would, with its unit."""
    if unit == "percentunit":
        return f"{value:.3g}" if value == 0 else f"{value:.1%}"
    names = {"s": _SECOND_NAMES, "bytes": _BYTE_NAMES, "Bps": _BYTE_NAMES}.get(unit)
    if names is None or value == 0:
        return f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"
    size, name = next((each for each in names if abs(value) >= each[0]), names[-1])
    return f"{value / size:.3g} {name}" + ("/s" if unit == "Bps" else "")
