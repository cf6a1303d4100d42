"""Live progress of a run: a progress bar on a terminal, or lines of text elsewhere."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pslgs.spec.metrics import Metric, write_metric

_TIMEOUT_SECONDS: Final = 2.0


def fetch_status(port: int) -> Mapping[str, Any] | None:
    """Return the status of a server on this machine; None if it does not answer."""
    url = f"http://127.0.0.1:{port}/status"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            status: Mapping[str, Any] = json.load(response)
            return status
    except (urllib.error.URLError, OSError, ValueError):
        return None


class ProgressView:
    """Shows the latest status of a run; a context manager.

    On a terminal it updates a progress bar in place.  Elsewhere it prints a line for each epoch and message.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("Starting", total=1.0)
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._shown_epoch = 0
        self._shown_message = ""

    def __enter__(self) -> "ProgressView":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def note(self, line: str) -> None:
        """Print a line above the progress."""
        self._console.print(Text(line), soft_wrap=True)

    def show(self, status: Mapping[str, Any]) -> None:
        """Show a status, as returned by `fetch_status`."""
        if self._console.is_terminal:
            self._bar.update(self._task, completed=status["progress"], description=_headline(status))
            self._live.update(_table(status, self._bar))
            return
        message = status["message"]
        if message and message != self._shown_message:
            self._console.print(Text(f"{status['phase']}: {message}"), soft_wrap=True)
        if status["epoch"] != self._shown_epoch and status["step"]:
            self._console.print(
                Text(f"{_headline(status)}, {', '.join(figures(status))}"),
                soft_wrap=True,
            )
        self._shown_message, self._shown_epoch = message, status["epoch"]


def _headline(status: Mapping[str, Any]) -> str:
    return f"{status['phase']} {position(status)}" if status["steps"] else str(status["phase"])


def position(status: Mapping[str, Any]) -> str:
    """Return epoch and step of a status."""
    return f"epoch {status['epoch']}/{status['epochs']}, step {status['step']}/{status['steps']}"


def _table(status: Mapping[str, Any], bar: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(bar)
    known = Table.grid(padding=(0, 3))
    known.add_row(*map(Text, figures(status)))
    table.add_row(known)
    lost = status["clients"].get("lost", [])
    notes = [status["message"], f"lost: {', '.join(lost)}" if lost else ""]
    for note in filter(None, notes):
        table.add_row(Text(note, style="yellow"))
    return table


def figures(status: Mapping[str, Any]) -> list[str]:
    """Format the figures of a status that are known, each with its name; see `fetch_status`."""
    bound = f" (bound {status['deviationBound']:.2f})" if status["deviationBound"] is not None else ""
    clients = status["clients"]
    shown = {
        "loss": _number(status["loss"], "{:.4f}"),
        "accuracy": _number(status["accuracy"], "{:.2%}"),
        **_metric(status),
        "deviation": _number(status["deviation"], "{:.3f}") + bound,
        "samples/s": _number(status["samplesPerSecond"], "{:,.0f}"),
        "clients": f"{_count(clients.get('live', 0))}/{status['clientsExpected']}",
    }
    return [f"{name} {value}" for name, value in shown.items() if value]


def _metric(status: Mapping[str, Any]) -> dict[str, str]:
    """Return the chosen metric with its best value, unless it is the accuracy, which is shown in any case."""
    metric = status.get("metric")
    if not metric or metric["value"] is None or metric["name"] == Metric.ACCURACY:
        return {}
    name, best = metric["name"], metric["best"]
    since = "" if best is None else f" (best {write_metric(name, best)} after epoch {metric['bestEpoch']})"
    shown = "evaluation loss" if name == Metric.LOSS else name
    return {shown: f"{write_metric(name, metric['value'])}{since}"}


def _count(members: Sequence[str] | int) -> int:
    """Return the number of clients, of which a server gives the names, and the object of a job the number."""
    return members if isinstance(members, int) else len(members)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
