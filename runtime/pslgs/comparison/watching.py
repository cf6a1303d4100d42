"""Who is told how a comparison gets on."""

from collections.abc import Sequence
from typing import Final, Protocol

from typing_extensions import override

from pslgs.comparison.cells import Cell


class Watcher(Protocol):
    """Is told of everything, in one thread."""

    def begin(self, cells: Sequence[Cell], finished: Sequence[Cell]) -> None:
        """Take in all cells, and those that are finished already."""
        ...

    def show(self, cell: Cell, step: int, steps: int) -> None:
        """Take in the steps that a cell has made and those in all, 0 where that is not known yet."""
        ...

    def finish(self, cell: Cell, seconds: float) -> None:
        """Take in that a cell is finished, and how long it computed."""
        ...


class _Nobody(Watcher):
    """Takes no notice."""

    @override
    def begin(self, cells: Sequence[Cell], finished: Sequence[Cell]) -> None:
        """Do nothing."""

    @override
    def show(self, cell: Cell, step: int, steps: int) -> None:
        """Do nothing."""

    @override
    def finish(self, cell: Cell, seconds: float) -> None:
        """Do nothing."""


NOBODY: Final[Watcher] = _Nobody()
