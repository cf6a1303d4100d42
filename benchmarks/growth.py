"""How time and memory of a step grow: with clients, samples and the sizes of batch and network.

python -m benchmarks.growth [--only active width]

The server is that of `benchmarks.crowd`, its clients compute nothing.  An exponent of 1 is proportional
growth: it is the slope of a line through the logarithms, by least squares.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from benchmarks.crowd import Crowd, Measured, measure


class Series(NamedTuple):
    """A quantity that grows while the others stay.

    Attributes:
        what: The quantity.
        crowds: The crowd of each of its values.
    """

    what: str
    crowds: Mapping[int, Crowd]


SERIES = {
    "active": Series("active clients, 4 samples each", {k: Crowd(k, 4 * k, 40) for k in (16, 64, 256, 1024)}),
    "connected": Series(
        "connected clients, 64 samples a step", {k: Crowd(k, 64, 80) for k in (64, 256, 1024, 4096)}
    ),
    "batch": Series("samples a step, of 16 clients", {b: Crowd(16, b, 60) for b in (64, 256, 1024, 4096)}),
    "width": Series(
        "width of the cut layer, 16 clients, 64 samples a step",
        {width: Crowd(16, 64, 60, width) for width in (64, 256, 1024, 4096)},
    ),
}
FIGURES: Mapping[str, Callable[[Measured], float]] = {
    "step, ms": lambda each: each.step_seconds * 1e3,
    "server CPU a step, ms": lambda each: each.cpu_seconds * 1e3,
    "memory, MB": lambda each: each.memory / 1e6,
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[*SERIES], choices=SERIES, help="what grows")
    arguments = parser.parse_args()
    print(f"| what grows | values | {' | '.join(f'{name} (exponent)' for name in FIGURES)} |")
    print("|---" * (len(FIGURES) + 2) + "|")
    for name in arguments.only:
        series = SERIES[name]
        measured = [measure(crowd) for crowd in series.crowds.values()]
        print(row(series, measured), flush=True)


def row(series: Series, measured: Sequence[Measured]) -> str:
    """Return a row of the table: the figures for each value, and their exponents."""
    values = [*series.crowds]
    cells = [series.what, ", ".join(f"{value:,}" for value in values)]
    for figure in FIGURES.values():
        found = [figure(each) for each in measured]
        cells.append(f"{', '.join(f'{each:.3g}' for each in found)} ({exponent(values, found):.2f})")
    return f"| {' | '.join(cells)} |"


def exponent(values: Sequence[float], found: Sequence[float]) -> float:
    """Return b of the least-squares fit found = a * values ** b."""
    return float(np.polyfit(np.log(values), np.log(found), 1)[0])


if __name__ == "__main__":
    main()
