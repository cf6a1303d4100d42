"""Live progress of a run: a few lines with a bar on a terminal, or lines of text elsewhere."""

import json
import math
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pslgs.reporting.formatting import duration
from pslgs.spec.metrics import Metric, write_metric

_TIMEOUT_SECONDS: Final = 2.0
_BAR_WIDTH: Final = 50


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

    On a terminal it updates a display in place.  Elsewhere it prints a line for each epoch and message.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
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
            self._live.update(display(status))
            return
        message = status["message"]
        if message and message != self._shown_message:
            self._console.print(Text(f"{status['phase']}: {message}"), soft_wrap=True)
        if status["epoch"] != self._shown_epoch and status["step"]:
            line = ", ".join([_headline(status), *figures(status)])
            self._console.print(Text(line), soft_wrap=True)
        self._shown_message, self._shown_epoch = message, status["epoch"]


def display(status: Mapping[str, Any]) -> RenderableType:
    """Return a status as a few lines, which fit into a narrow terminal, too."""
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total=1.0, completed=status["progress"], width=_BAR_WIDTH), _share(status))
    lost = ", ".join(status["clients"].get("lost", []))
    notes = [status["message"], f"lost: {lost}" if lost not in (status["message"] or "") else ""]
    return Group(
        Text(_headline(status)),
        bar,
        Columns([Text(each, no_wrap=True) for each in figures(status)], padding=(0, 3)),
        *(Text(note, style="yellow") for note in notes if note),
    )


def _headline(status: Mapping[str, Any]) -> str:
    return f"{status['phase']} {position(status)}" if status["steps"] else str(status["phase"])


def _share(status: Mapping[str, Any]) -> Text:
    return Text(f"{math.floor(100 * status['progress'])}%", no_wrap=True)


def position(status: Mapping[str, Any]) -> str:
    """Return epoch and step of a status, and the time that is left as far as it is known."""
    left = status.get("etaSeconds")
    where = f"epoch {status['epoch']}/{status['epochs']}, step {status['step']}/{status['steps']}"
    return f"{where}, {duration(left)} left" if left else where


def figures(status: Mapping[str, Any]) -> list[str]:
    """Format the figures of a status that are known, each with its name; see `fetch_status`."""
    bound = f" (bound {status['deviationBound']:.2f})" if status["deviationBound"] is not None else ""
    clients = status["clients"]
    shown = {
        "loss": _number(status["loss"], "{:.4f}"),
        "accuracy": "" if status["accuracy"] is None else write_metric(Metric.ACCURACY, status["accuracy"]),
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
