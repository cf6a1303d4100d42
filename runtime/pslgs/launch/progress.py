"""The live progress of a run on a terminal, or a line now and then where there is none."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_PATIENCE_SECONDS = 2.0


def fetch_status(port: int) -> Mapping[str, Any] | None:
    """Ask a server on this machine for its status; None while it does not answer."""
    url = f"http://127.0.0.1:{port}/status"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as answer:
            status: Mapping[str, Any] = json.load(answer)
            return status
    except (urllib.error.URLError, OSError, ValueError):
        return None


class ProgressView:
    """Shows one status after another."""

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
        self._epoch_told = 0
        self._message_told = ""

    def __enter__(self) -> "ProgressView":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, status: Mapping[str, Any]) -> None:
        """Show where the run is."""
        if self._console.is_terminal:
            self._bar.update(self._task, completed=status["progress"], description=_headline(status))
            self._live.update(_table(status, self._bar))
            return
        message = status["message"]
        if message and message != self._message_told:
            self._console.print(Text(f"{status['phase']}: {message}"), soft_wrap=True)
        if status["epoch"] != self._epoch_told and status["step"]:
            self._console.print(
                Text(f"{_headline(status)}, {', '.join(f'{k} {v}' for k, v in facts(status).items())}"),
                soft_wrap=True,
            )
        self._message_told, self._epoch_told = message, status["epoch"]


def facts(status: Mapping[str, Any]) -> dict[str, str]:
    """Put the figures of a status into words, those that are known."""
    bound = f" (bound {status['deviationBound']:.2f})" if status["deviationBound"] is not None else ""
    clients = status["clients"]
    shown = {
        "loss": _number(status["loss"], "{:.4f}"),
        "accuracy": _number(status["accuracy"], "{:.2%}"),
        "deviation": _number(status["deviation"], "{:.3f}") + bound,
        "samples/s": _number(status["samplesPerSecond"], "{:,.0f}"),
        "clients": f"{len(clients.get('live', []))}/{status['clientsExpected']}",
    }
    return {name: words for name, words in shown.items() if words}


def _headline(status: Mapping[str, Any]) -> str:
    where = f"epoch {status['epoch']}/{status['epochs']}, step {status['step']}/{status['steps']}"
    return f"{status['phase']} {where}" if status["steps"] else str(status["phase"])


def _table(status: Mapping[str, Any], bar: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(bar)
    figures = Table.grid(padding=(0, 3))
    figures.add_row(*(Text(f"{name} {words}") for name, words in facts(status).items()))
    table.add_row(figures)
    lost = status["clients"].get("lost", [])
    notes = [status["message"], f"lost: {', '.join(lost)}" if lost else ""]
    for note in filter(None, notes):
        table.add_row(Text(note, style="yellow"))
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
