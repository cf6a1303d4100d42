"""Live progress of a comparison on a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from typing_extensions import override

from pslgs.comparison.pool import Watcher
from pslgs.comparison.trial import Trial
from pslgs.launch.progress_bars import progress_bars
from pslgs.reporting.formatting import count

if TYPE_CHECKING:
    from rich.progress import TaskID


class ComparisonView(Watcher):
    """Shows the progress of a comparison; a context manager.

    On a terminal it shows a bar for all trials, and one for each that is running.  Elsewhere it prints a line
    for each finished trial.
    """

    def __init__(self, console: Console, folder: Path) -> None:
        """Show the progress on ``console``; ``folder`` is that of the comparison, printed at the start."""
        self._console = console
        self._folder = folder
        self._bars = progress_bars(console)
        self._total = self._bars.add_task("simulations", total=None)
        self._tasks: dict[Trial, TaskID] = {}

    def __enter__(self) -> "ComparisonView":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @override
    def begin(self, trials: Sequence[Trial], finished: Sequence[Trial]) -> None:
        """Print the number of trials and set up the bars."""
        done = f", {len(finished):,} of them finished already" if finished else ""
        self._console.print(
            f"{count(len(trials), 'simulation')}{done}; folder {self._folder}", soft_wrap=True
        )
        self._bars.update(self._total, total=len(trials), completed=len(finished))

    @override
    def show(self, trial: Trial, step: int, steps: int) -> None:
        """Update the bar of a trial."""
        if trial not in self._tasks:
            self._tasks[trial] = self._bars.add_task(trial.name, total=steps or None)
        self._bars.update(self._tasks[trial], completed=step, total=steps or None)

    @override
    def finish(self, trial: Trial, seconds: float) -> None:
        """Remove the bar of a finished trial, or print a line."""
        self._bars.advance(self._total)
        if (task := self._tasks.pop(trial, None)) is not None:
            self._bars.remove_task(task)
        if not self._console.is_terminal:
            self._console.print(Text(f"{trial.name} in {seconds:.1f} s"), soft_wrap=True)
