"""Tables of figures that turn their rows into columns where a terminal is too narrow for them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

COLUMNS: Final = 100
_UNBOUNDED: Final = 10_000
"""Columns of a terminal in which every table fits."""


@dataclass(frozen=True, slots=True)
class FoldingTable:
    """A table with a name and figures in each row.

    In a terminal that is too narrow, it is printed with a row for each figure and a column for each name, in
    as many parts as are needed.

    Attributes:
        title: Title of the table.
        first: Heading of the names.
        headings: Headings of the figures, of two lines; an empty first line is that of the heading before.
        rows: Name, figures and style of each row.
    """

    title: str
    first: str
    headings: Sequence[str]
    rows: list[tuple[str, Sequence[str], str]] = field(default_factory=list)

    def add_row(self, name: str, *figures: str, style: str = "") -> None:
        """Add a row."""
        self.rows.append((name, figures, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table as it fits."""
        wide = self._wide()
        if _width(console, wide) <= options.max_width:
            yield wide
        else:
            yield Text(self.title, style="bold")
            yield from self._folded(console, options.max_width)

    def _wide(self) -> Table:
        table = Table(
            title=self.title,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        table.add_column(self.first, overflow="fold", min_width=12)
        for heading in self.headings:
            table.add_column(heading, justify="right", no_wrap=True)
        for name, figures, style in self.rows:
            table.add_row(name, *figures, style=style)
        return table

    def _folded(self, console: Console, width: int) -> Iterator[RenderableType]:
        """Yield tables of as many of the rows, as columns, as fit into the width; of one at least."""
        first = 0
        while first < len(self.rows):
            last = first + 1
            while last < len(self.rows) and _width(console, self._part(first, last + 1)) <= width:
                last += 1
            yield self._part(first, last)
            first = last

    def _part(self, first: int, last: int) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(self.first)
        for name, _, style in self.rows[first:last]:
            table.add_column(broken(name), justify="right", style=style, header_style=style)
        for number, heading in enumerate(_whole(self.headings)):
            table.add_row(heading, *(figures[number] for _, figures, _ in self.rows[first:last]))
        return table


def print_within(console: Console, printed: RenderableType) -> None:
    """Print what is no wider than `COLUMNS`, without the spaces with which lines are filled up."""
    console.width = min(console.width, COLUMNS) if console.is_terminal else COLUMNS
    with console.capture() as capture:
        console.print(printed)
    for line in capture.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def broken(name: str) -> str:
    """Break a name before its words, since FixedProportionalLocal is too long for one line."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "\n", name)


def _whole(headings: Sequence[str]) -> Iterator[str]:
    """Yield headings in one line, each with its first line."""
    above = ""
    for heading in headings:
        upper, _, lower = heading.partition("\n")
        above = upper or above
        yield f"{above} {lower}".strip()


def _width(console: Console, table: Table) -> int:
    """Return the width at which nothing in a table is cut or wrapped."""
    return Measurement.get(console, console.options.update(max_width=_UNBOUNDED), table).maximum
