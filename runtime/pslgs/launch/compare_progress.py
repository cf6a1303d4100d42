"""Live progress of a comparison on a terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text
from typing_extensions import override

from pslgs.comparison.pool import Watcher
from pslgs.comparison.trial import Trial
from pslgs.reporting.formatting import count


class ComparisonView(Watcher):
    """Shows a bar for all cells and one for each under way; without a terminal, a line a cell."""

    def __init__(self, console: Console, folder: Path) -> None:
        """Take the console, and the comparison's folder, to be named once it is begun."""
        self._console = console
        self._folder = folder
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._whole = self._bars.add_task("simulations", total=None)
        self._tasks: dict[Trial, TaskID] = {}

    def __enter__(self) -> "ComparisonView":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @override
    def begin(self, cells: Sequence[Trial], finished: Sequence[Trial]) -> None:
        """Show what there is to do."""
        done = f", {len(finished):,} of them finished already" if finished else ""
        self._console.print(f"{count(len(cells), 'simulation')}{done}; folder {self._folder}", soft_wrap=True)
        self._bars.update(self._whole, total=len(cells), completed=len(finished))

    @override
    def show(self, cell: Trial, step: int, steps: int) -> None:
        """Show where a cell is."""
        if cell not in self._tasks:
            self._tasks[cell] = self._bars.add_task(cell.name, total=steps or None)
        self._bars.update(self._tasks[cell], completed=step, total=steps or None)

    @override
    def finish(self, cell: Trial, seconds: float) -> None:
        """Show that a cell is finished."""
        self._bars.advance(self._whole)
        if (task := self._tasks.pop(cell, None)) is not None:
            self._bars.remove_task(task)
        if not self._console.is_terminal:
            self._console.print(Text(f"{cell.name} in {seconds:.1f} s"), soft_wrap=True)
