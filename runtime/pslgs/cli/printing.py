"""Printing of names with their values, which fold within their column on a narrow terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def print_pairs(pairs: Iterable[tuple[str, str]], width: int, console: "Console | None" = None) -> None:
    """Print a line for each name and value; on a terminal, the rest of a long value is below its beginning.

    Args:
        pairs: Names and values.
        width: Width of the column of names, at least; two spaces follow the longest name.
        console: Console to print on; None for stdout.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, pairs = console or Console(highlight=False), list(pairs)
    width = max([width, *(len(name) + 2 for name, _ in pairs)])
    if not console.is_terminal:
        for name, value in pairs:
            console.print(Text(f"  {name:<{width}}{value}"), soft_wrap=True)
        return
    table = Table.grid()
    table.add_column(width=width + 2, no_wrap=True)
    table.add_column()
    for name, value in pairs:
        table.add_row(Text(f"  {name}"), Text(value))
    console.print(table)
