"""A comparison on a terminal of 100 columns."""

import re

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pslgs.comparison.answers import answers
from pslgs.comparison.comparison import Comparison
from pslgs.comparison.tables import UNKNOWN, columns
from pslgs.planning.words import seconds
from pslgs.reporting.wording import SPACE
from pslgs.simulation.choices import SimulatedStrategy

COLUMNS = 100


def show(comparison: Comparison, console: Console) -> None:
    """Print a comparison, no wider than `COLUMNS`."""
    console.width = min(console.width, COLUMNS) if console.is_terminal else COLUMNS
    console.print(rendered(comparison))


def rendered(comparison: Comparison) -> RenderableType:
    """Lay a comparison out: a row for each figure, a column for each strategy, then the answers."""
    names, *figures = columns(comparison)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in names.cells:
        table.add_column(_broken(name), justify="right", overflow="fold")
    for figure in figures:
        table.add_row(figure.title, *figure.cells)
    table.add_row("computed here in", *(_measured(comparison, each) for each in comparison.strategies))
    told = (Text(f"{each.question} {each.text}".replace(SPACE, " ")) for each in answers(comparison))
    return Group(table, *(Padding(text, (0, 0, 1, 2)) for text in told))


def _broken(name: str) -> str:
    """Break a strategy's name where a word begins: FixedProportionalLocal is too long for one line."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "\n", name)


def _measured(comparison: Comparison, strategy: SimulatedStrategy) -> str:
    """Return the mean over those seeds of which it is known."""
    names = [each.cell.name for each in comparison.of(strategy)]
    known = [comparison.measured_seconds[name] for name in names if name in comparison.measured_seconds]
    return seconds(sum(known) / len(known)) if known else UNKNOWN
