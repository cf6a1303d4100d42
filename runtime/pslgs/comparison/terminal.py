"""A comparison on a terminal of 100 columns."""

import re
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pslgs.comparison.answers import answers
from pslgs.comparison.comparison import Comparison
from pslgs.comparison.tables import UNKNOWN, Column, columns
from pslgs.planning.words import seconds
from pslgs.reporting.wording import SPACE

COLUMNS = 100
_TITLE_WIDTH = len("computed here in")
_COLUMN_WIDTH = len("100.0 % ± 10.0 ")


def show(comparison: Comparison, console: Console) -> None:
    """Print a comparison, no wider than `COLUMNS`."""
    console.width = min(console.width, COLUMNS) if console.is_terminal else COLUMNS
    console.print(rendered(comparison, console.width))


def rendered(comparison: Comparison, width: int) -> RenderableType:
    """Lay a comparison out: a row for each figure, a column for each strategy, then the answers.

    Strategies for which ``width`` has no columns left are in a table below.
    """
    laid = [*columns(comparison), Column("computed here in", _measured(comparison))]
    most = max(1, (width - _TITLE_WIDTH) // _COLUMN_WIDTH)
    tables = [
        _table([Column(title, cells[first : first + most]) for title, cells in laid])
        for first in range(0, len(comparison.strategies), most)
    ]
    told = (Text(f"{each.question} {each.text}".replace(SPACE, " ")) for each in answers(comparison))
    return Group(*tables, *(Padding(text, (0, 0, 1, 2)) for text in told))


def _table(laid: Sequence[Column]) -> Table:
    names, *figures = laid
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", width=_TITLE_WIDTH, no_wrap=True)
    for name in names.cells:
        table.add_column(_broken(name), justify="right", overflow="fold")
    for figure in figures:
        table.add_row(figure.title, *figure.cells)
    return table


def _broken(name: str) -> str:
    """Break a strategy's name where a word begins: FixedProportionalLocal is too long for one line."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "\n", name)


def _measured(comparison: Comparison) -> list[str]:
    """Return each strategy's mean over those seeds of which it is known."""
    return [
        _mean_of([each.cell.name for each in comparison.of(strategy)], comparison.measured_seconds)
        for strategy in comparison.strategies
    ]


def _mean_of(cells: Sequence[str], measured: Mapping[str, float]) -> str:
    known = [measured[name] for name in cells if name in measured]
    return seconds(sum(known) / len(known)) if known else UNKNOWN
