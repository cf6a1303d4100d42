"""Live progress of the check of a job's data on a terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from typing_extensions import override

from pslgs.launch.data_check import CheckedData, CheckView
from pslgs.launch.progress_bars import progress_bars

if TYPE_CHECKING:
    from rich.progress import TaskID


class ProgressBars(CheckView):
    """Shows a bar for the dataset that is being read; a context manager.  Elsewhere it shows nothing."""

    def __init__(self, console: Console) -> None:
        self._bars = progress_bars(console)
        self._task: TaskID | None = None

    def __enter__(self) -> "ProgressBars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @override
    def begin(self, dataset: CheckedData) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(f"{dataset.client} {dataset.path}".strip(), total=None)

    @override
    def show(self, checked: int, total: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=checked, total=total)
