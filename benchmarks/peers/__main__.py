"""NVFlare and Flower beside `pslgs run`: the same split learning on the same machine, in turn.

python -m benchmarks.peers [--repeats 3] [--only ours,flower-deployed] [--kill]
"""

import argparse
import ast
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers.observed import Recorder, kill
from benchmarks.peers.systems import HERE, SYSTEMS, Run, System

WARM_UP = 0.2
"""Share of the steps that is left out at the start."""
TIME_OUT = 900.0
"""Seconds after which a run is ended."""
WATCHED = 240.0
"""Seconds for which a run is watched after a client was killed."""


class Step(NamedTuple):
    """A step: Unix time at its end, loss, and number of clients that took part."""

    time: float
    loss: float
    clients: int


class Log(NamedTuple):
    """What a run has recorded: its steps, and the accuracy on the test data at its last evaluation."""

    steps: list[Step]
    accuracy: float | None


class Figures(NamedTuple):
    """What a run took.

    Attributes:
        seconds: From the end of a step to the end of the next, median.
        traffic: Bytes over the loopback interface in a step, mean.
        cpu_seconds: CPU seconds of all cores in a step, mean.
        memory: Bytes of all processes, peak.
        processes: Number of them, peak.
        accuracy: On the test data, after the run; not a number if the run was not to its end.
        losses: Of the steps.
    """

    seconds: float
    traffic: float
    cpu_seconds: float
    memory: float
    processes: float
    accuracy: float
    losses: list[float]


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environment", type=Path, default=Path(".venv-peers"), help="where the peers are")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each system, in turn")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only", default=",".join(SYSTEMS), help="what to measure")
    parser.add_argument("--kill", action="store_true", help="kill a client instead, and watch")
    arguments = parser.parse_args()
    commands = (arguments.environment / "bin").resolve()
    systems = [SYSTEMS[name] for name in arguments.only.split(",")]
    if arguments.kill:
        for system in systems:
            print(f"{system.name}:", *_kill(system, commands), sep="\n  ", flush=True)
        return
    figures: dict[str, list[Figures]] = {system.name: [] for system in systems}
    for _ in range(arguments.repeats):
        for system in systems:
            figures[system.name].append(_measure(system, commands, arguments.epochs))
            print(system.name, figures[system.name][-1]._replace(losses=[]), flush=True)
    print(_table(systems, figures), _lines_table(systems), sep="\n\n")


def _measure(system: System, commands: Path, epochs: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
        run = Run(Path(folder), commands)
        try:
            with Recorder(run.marked) as recorder:
                system.start(run, epochs)
                log = _follow(system, run, system.limit)
        finally:
            run.marked.end()
    times = [step.time for step in log.steps]
    begin, end = times[int(len(times) * WARM_UP)], times[-1]
    counted = sum(begin < each for each in times)
    rates = recorder.between(begin, end)
    return Figures(
        statistics.median(later - earlier for earlier, later in pairwise(times) if earlier >= begin),
        rates.traffic / counted,
        rates.cpu_seconds / counted,
        recorder.memory,
        recorder.processes,
        float("nan") if log.accuracy is None else log.accuracy,
        [step.loss for step in log.steps],
    )


def _follow(system: System, run: Run, limit: int) -> Log:
    """Wait until a run has ended, or has done so many steps; return what it has recorded."""
    deadline = time.monotonic() + TIME_OUT
    while True:
        ended = run.ended
        log = _read(run.folder / system.log)
        if len(log.steps) >= limit:
            return log
        if ended or time.monotonic() > deadline:
            if len(log.steps) < 2:
                texts = [path.read_text(errors="replace") for path in sorted(run.folder.glob("*.log"))]
                raise RuntimeError(f"{system.name} has not trained:\n" + "\n".join(texts))
            return log
        time.sleep(0.2)


def _read(path: Path) -> Log:
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


def _kill(system: System, commands: Path) -> list[str]:
    """Kill a client of a run; say what became of the run."""
    before = 4 if system.limit < 100 else 100
    with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
        run = Run(Path(folder), commands)
        try:
            system.start(run, 1000)
            _follow(system, run, before)
            victims = system.victims(run)
            killed = time.time()
            for process in victims:
                kill(process)
            said = [f"killed {len(victims)} processes after {before} steps"]
            while time.time() < killed + WATCHED and not run.ended:
                time.sleep(1)
            said.append(f"ended: {run.started[-1].poll()}" if run.ended else "still there")
            steps = _read(run.folder / system.log).steps
        finally:
            run.marked.end()
    after = [step for step in steps if step.time > killed]
    said.append(f"steps after: {len(after)}")
    ends = [killed, *(step.time for step in after)]
    gaps = sorted(((later - earlier, earlier - killed) for earlier, later in pairwise(ends)), reverse=True)
    said += [f"{gap:.1f} s without a step, from {since:.1f} s after" for gap, since in gaps[:3]]
    changes = [
        one
        for one, other in zip(after, [None, *after], strict=False)
        if not other or one.clients != other.clients
    ]
    said += [f"{each.clients} clients from {each.time - killed:.1f} s after" for each in changes[:8]]
    return said


def _table(systems: Sequence[System], figures: dict[str, list[Figures]]) -> str:
    lines = [
        "| system | TLS | ms a step | steps/s | to ours | KB a step | CPU ms a step | MB | processes "
        "| accuracy |",
        "|---" * 10 + "|",
    ]
    ours = figures.get("ours", [])
    for system in systems:
        runs = figures[system.name]
        seconds, traffic, cpu, memory, processes, accuracy = (
            statistics.median(column) for column in list(zip(*runs, strict=True))[:-1]
        )
        ratios = [run.seconds / own.seconds for run, own in zip(runs, ours, strict=False)]
        cells = [
            system.name,
            system.tls,
            f"{seconds * 1e3:,.1f}",
            f"{1 / seconds:,.2f}",
            f"{statistics.median(ratios):,.1f}" if ratios else "–",
            f"{traffic / 1e3:,.0f}",
            f"{cpu * 1e3:,.0f}",
            f"{memory / 1e6:,.0f}",
            f"{processes:.0f}",
            f"{accuracy:.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _lines_table(systems: Sequence[System]) -> str:
    lines = ["| system | lines that a user writes |", "|---|---|"]
    for system in systems:
        counts = [(name, _count(HERE / name)) for name in system.programs]
        parts = ", ".join(f"{name} {count}" for name, count in counts)
        lines.append(f"| {system.name} | {sum(count for _, count in counts)}: {parts} |")
    return "\n".join(lines)


def _count(path: Path) -> int:
    """Return the number of lines that are neither empty nor comments nor docstrings."""
    text = path.read_text(encoding="utf-8")
    lines = {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    }
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


if __name__ == "__main__":
    main()
