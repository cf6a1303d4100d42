"""What a run has recorded, as it goes on."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers.systems import Run, System

TIME_OUT = 900.0
"""Seconds after which a run is ended."""


class Step(NamedTuple):
    """A step: Unix time at its end, loss, and number of clients that took part."""

    time: float
    loss: float
    clients: int


class Log(NamedTuple):
    """What a run has recorded: its steps, and the accuracy on the test data at its last evaluation."""

    steps: list[Step]
    accuracy: float | None


def follow(system: System, run: Run, limit: int) -> Log:
    """Wait until a run has ended, or has done so many steps; return what it has recorded."""
    deadline = time.monotonic() + TIME_OUT
    while True:
        ended = run.ended
        log = read(run.folder / system.log)
        if len(log.steps) >= limit:
            return log
        if ended or time.monotonic() > deadline:
            if len(log.steps) < 2:
                texts = [path.read_text(errors="replace") for path in sorted(run.folder.glob("*.log"))]
                raise RuntimeError(f"{system.name} has not trained:\n" + "\n".join(texts))
            return log
        time.sleep(0.2)


def read(path: Path) -> Log:
    steps, accuracy = [], None
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    for line in lines:
        record: dict[str, Any] = json.loads(line) if line.endswith("\n") else {"kind": "incomplete"}
        if record["kind"] == "step":
            clients = record["clients"] if "clients" in record else len(record["allocation"])
            steps.append(Step(record["time"], record["loss"], clients))
        elif record["kind"] == "evaluation":
            accuracy = record["accuracy"]
    return Log(steps, accuracy)
