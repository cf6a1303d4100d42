"""Run the command ``pslgs`` in processes, with the tests on its path, and read the results."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import yaml

from pslgs.telemetry.journal import read
from pslgs.telemetry.records import Record, StepRecord

TESTS = Path(__file__).parent.parent
LIMIT_SECONDS = 240


def pslgs(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command, and return its result."""
    return subprocess.run(
        [sys.executable, "-m", "pslgs.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(TESTS)} | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "pslgs.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(TESTS)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def write_manifest(folder: Path, document: dict) -> str:
    """Write a manifest and return its name in that folder."""
    (folder / "job.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return "job.yaml"


def records(run: Path) -> list[Record]:
    """Return the records of a run's journal."""
    return read(run / "metrics.jsonl")


def steps(run: Path) -> list[StepRecord]:
    """Return the committed steps of a run."""
    return [record for record in records(run) if isinstance(record, StepRecord)]


def usage(run: Path) -> Counter[tuple[int, str, int]]:
    """Count how often each position of each client's order was used in each epoch."""
    used: Counter[tuple[int, str, int]] = Counter()
    for step in steps(run):
        for client, (offset, samples) in step.allocation.items():
            used.update((step.epoch, client, position) for position in range(offset, offset + samples))
    return used


def committed(run: Path) -> int:
    """Count the committed steps of a run; 0 if it has no journal yet."""
    return len(steps(run)) if (run / "metrics.jsonl").exists() else 0


def until(condition: Callable[[], bool], what: str, seconds: float = LIMIT_SECONDS) -> None:
    """Poll until a condition on other processes holds; ``what`` describes it in the failure message."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.1)


def processes_in(folder: Path) -> list[int]:
    """Return the ids of processes whose working directory is the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if Path(os.readlink(entry / "cwd")) == folder:
                    found.append(int(entry.name))
    return found


def described(result: subprocess.CompletedProcess[str], run: Path) -> str:
    """Return exit code, output and logs of a run, for failure messages."""
    logs = [f"--- {log.name}\n{log.read_text()[-2000:]}" for log in sorted(run.glob("logs/*.log"))]
    return json.dumps(result.returncode) + "\n" + result.stdout + result.stderr + "\n".join(logs)
