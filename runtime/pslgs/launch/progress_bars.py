"""Progress bars that vanish when they are done, and that only a terminal shows."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


def progress_bars(console: Console) -> Progress:
    """Return bars with a description, the number of steps that are done, and the time that is left."""
    return _bars(console, MofNCompleteColumn())


def transfer_bars(console: Console) -> Progress:
    """Return bars with a description, the number of bytes that are copied, and the time that is left."""
    return _bars(console, DownloadColumn())


def _bars(console: Console, done: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        done,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
