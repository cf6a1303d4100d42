"""Run the command ``pslgs``, with the tests on its path, and read the results.

Importing torch takes seconds in each new interpreter.  Tests that are not about the start or the end of the
command's own process run it in this one (`pslgs_here`), or fork it (`fork`) from the process from which
``pslgs run`` forks server and clients, which has imported everything.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pslgs.cli.main import app, main
from pslgs.launch.processes import start_fork_server
from pslgs.telemetry.journal import read
from pslgs.telemetry.records import Record, StepRecord

TESTS = Path(__file__).parent.parent
LIMIT_SECONDS = 240

Process = subprocess.Popen[str] | ForkServerProcess


def pslgs(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command, and return its result."""
    return subprocess.run(
        [sys.executable, "-m", "pslgs.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Start the command in a session of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "pslgs.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@contextmanager
def forking_in(folder: Path) -> Iterator[None]:
    """Let forked processes begin in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # which the next function sets
        start_fork_server(main, "pslgs.data.scikit_learn", "pslgs.data.parquet")
        yield


def pslgs_here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in this process; the server and the clients of ``run`` have processes of their own."""
    with forking_in(cwd):
        result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def fork(*arguments: str, cwd: Path, log: Path) -> ForkServerProcess:
    """Start the command in a process that need not import what it needs, with its output in a file."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_run_forked, args=(arguments, str(log)))
    with forking_in(cwd):
        process.start()
    return process


def _run_forked(arguments: Sequence[str], log: str) -> None:
    with Path(log).open("a", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = ["pslgs", *arguments]
    main()


def pslgs_forked(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a forked process: ``simulate`` sets up torch for a process of its own."""
    log = cwd / "forked.log"
    code = exit_code(fork(*arguments, cwd=cwd, log=log))
    return subprocess.CompletedProcess(arguments, code, log.read_text(encoding="utf-8"), "")


def exit_code(process: Process) -> int:
    """Wait for the end of a process, and return its exit code."""
    if isinstance(process, subprocess.Popen):
        process.communicate(timeout=LIMIT_SECONDS)
        return process.returncode
    process.join(LIMIT_SECONDS)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{process.name} did not end within {LIMIT_SECONDS} s")
    return process.exitcode


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
