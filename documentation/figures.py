"""The figures of docs/explanation: a step, and what two strategies draw from the same clients.

They are drawn with the functions that draw the batches of a job, from seeded data.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from numpy.typing import NDArray

from pslgs.reporting.drawing import COLOURS, drawing, legend, over_steps, svg
from pslgs.sampling.deviation import CONFIDENCE, batch_deviation, deviation_bound, expected_deviation
from pslgs.sampling.partition import partition_extended_dirichlet
from pslgs.sampling.schedule import Schedule, draw_global_schedule
from pslgs.sampling.strategies.fixed_local import fixed_local_schedule

CLIENTS: Final = 8
CLASSES: Final = 4
SAMPLES: Final = 2000
BATCH: Final = 64
_LIGHT: Final = {
    "ink": "#1d2329", "faint": "#d5d9dd", "paper": "#ffffff",
    "one": "#1f6fb2", "two": "#d2691e", "three": "#5a9e6f", "four": "#8c6bb1",
}  # fmt: skip
_DARK: Final = {
    "ink": "#e6e9ec", "faint": "#3a434c", "paper": "#1d2329",
    "one": "#63a9e6", "two": "#f0a060", "three": "#86c79a", "four": "#b79ad8",
}  # fmt: skip
"""The colours of the reports."""


def figures() -> dict[str, str]:
    """Return the figures as SVG documents by their path below the root."""
    rng = np.random.default_rng(3)
    labels = rng.integers(CLASSES, size=SAMPLES)
    holdings = partition_extended_dirichlet(labels, CLIENTS, 2, 1.0, rng)
    sizes = [len(each) for each in holdings]
    schedules = {
        "FixedLocal": fixed_local_schedule(sizes, BATCH),
        "Global": draw_global_schedule(sizes, BATCH, rng),
    }
    counts = {
        name: np.array(list(_class_counts(schedule, [labels[each] for each in holdings], rng)))
        for name, schedule in schedules.items()
    }
    folder = "docs/explanation/figures"
    return {
        f"{folder}/step.svg": _document(_step(), "What is sent in a step"),
        f"{folder}/batches.svg": _document(_batches(counts), "Classes of each global batch of an epoch"),
        f"{folder}/deviation.svg": _document(_deviations(counts), "Batch deviation over an epoch"),
    }


def _class_counts(
    schedule: Schedule, labels: list[NDArray[np.int64]], rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield how many samples of each class the batches hold; each client's order is random."""
    left = [rng.permutation(each) for each in labels]
    for step in range(len(schedule)):
        batch = schedule.local_batches(step)
        drawn = []
        for client, size in zip(batch.clients, batch.sizes, strict=True):
            drawn.append(left[client][:size])
            left[client] = left[client][size:]
        yield np.bincount(np.concatenate(drawn), minlength=CLASSES)


def _batches(counts: dict[str, NDArray[np.int64]]) -> str:
    with drawing(height=4.4) as (figure, first):
        first.remove()
        for axes, (name, batches) in zip(figure.subplots(2, 1, sharex=True), counts.items(), strict=True):
            _stacked(axes, name, batches)
        legend(figure.axes[0], columns=CLASSES)
        over_steps(figure.axes[1])
        return svg(figure, "batches")


def _stacked(axes: Axes, name: str, batches: NDArray[np.int64]) -> None:
    steps = np.arange(0.5, len(batches) + 1)
    tops = np.vstack([batches.cumsum(axis=1), batches.sum(axis=0) * 0])
    tops[-1] = tops[-2]
    for number, colour in enumerate(("one", "two", "three", "four")):
        below = tops[:, number - 1] if number else 0
        axes.fill_between(
            steps,
            below,
            tops[:, number],
            step="post",
            color=COLOURS[colour],
            lw=0,
            label=f"class {number + 1}",
        )
    axes.set_ylabel(f"samples, {name}")


def _deviations(counts: dict[str, NDArray[np.int64]]) -> str:
    pooled = counts["Global"].sum(axis=0) / SAMPLES
    with drawing() as (figure, axes):
        for (name, batches), colour in zip(counts.items(), ("two", "one"), strict=True):
            deviations = [batch_deviation(each, pooled) for each in batches]
            axes.plot(range(1, len(batches) + 1), deviations, color=COLOURS[colour], label=name)
        bound = deviation_bound(CLASSES, BATCH, SAMPLES, CONFIDENCE)
        axes.axhline(bound, color=COLOURS["ink"], ls="--", lw=1, label="bound of Global, 99 %")
        expected = expected_deviation(pooled, BATCH, SAMPLES)
        axes.axhline(expected, color=COLOURS["ink"], ls=":", lw=1, label="expected of Global")
        axes.set_ylabel("batch deviation")
        over_steps(axes)
        legend(axes, columns=2)
        return svg(figure, "deviation")


def _step() -> str:
    with drawing(height=3.4) as (figure, axes):
        axes.set(xlim=(0, 10), ylim=(0, 6.8))
        axes.axis("off")
        _box(axes, (0.1, 0.3), "client\n\nits data\n\nclient part\n(layers up to the cut)")
        _box(axes, (7.2, 0.3), "server\n\nserver part,\nparameters of\nboth parts\n\nschedule")
        arrows = (
            ("1  order, client parameters", False),
            ("2  smashed data and labels", True),
            ("3  gradient at the cut", False),
            ("4  gradient of the client part", True),
        )
        for number, (words, up) in enumerate(arrows):
            height = 5.6 - 1.4 * number
            ends = ((2.9, height), (7.1, height)) if up else ((7.1, height), (2.9, height))
            axes.add_patch(
                FancyArrowPatch(
                    *ends, arrowstyle="-|>", mutation_scale=12, color=COLOURS["one" if up else "two"]
                )
            )
            axes.text(5, height + 0.18, words, ha="center", fontsize=7.5)
        return svg(figure, "step")


def _box(axes: Axes, corner: tuple[float, float], words: str) -> None:
    box = FancyBboxPatch(
        corner, 2.7, 6.2, boxstyle="round,pad=0,rounding_size=0.2", fill=False, ec=COLOURS["faint"]
    )
    axes.add_patch(box)
    axes.text(corner[0] + 1.35, corner[1] + 3.1, words, ha="center", va="center", fontsize=8.5)


def _document(element: str, title: str) -> str:
    """Make a document of an element: with colours for light and dark, a background and a title."""
    light, dark = (";".join(f"--{name}:{value}" for name, value in each.items()) for each in (_LIGHT, _DARK))
    style = (
        f"<style>svg{{{light};background:var(--paper);font-family:sans-serif}}"
        f"@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    )
    head, bracket, rest = element.partition(">")
    return f'{head} role="img"{bracket}<title>{title}</title>{style}{rest}'.rstrip() + "\n"
