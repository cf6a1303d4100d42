"""NVFlare and Flower beside `pslgs run`: the same split learning on the same machine, in turn.

python -m benchmarks.peers [--repeats 3] [--only ours flower-deployed] [--kill]
"""

import argparse
import ast
import statistics
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers.killed import watch
from benchmarks.peers.observed import Recorder
from benchmarks.peers.records import follow
from benchmarks.peers.systems import HERE, SYSTEMS, Run, System

WARM_UP = 0.2
"""Share of the steps that is left out at the start."""


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
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", nargs="+", default=[*SYSTEMS], choices=SYSTEMS, help="what to measure")
    parser.add_argument("--kill", action="store_true", help="kill a client instead, and watch")
    arguments = parser.parse_args()
    commands = (arguments.environment / "bin").resolve()
    systems = [SYSTEMS[name] for name in arguments.only]
    if arguments.kill:
        for system in systems:
            print(f"{system.name}:", *watch(system, commands), sep="\n  ", flush=True)
        return
    figures: dict[str, list[Figures]] = {system.name: [] for system in systems}
    for _ in range(arguments.repeats):
        for system in systems:
            figures[system.name].append(_measure(system, commands, arguments.epochs))
            print(system.name, figures[system.name][-1]._replace(losses=[]), flush=True)
    print(_table(systems, figures), _lines_table(systems), _difference(figures), sep="\n\n")


def _measure(system: System, commands: Path, epochs: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
        run = Run(Path(folder), commands)
        try:
            with Recorder(run.marked) as recorder:
                system.start(run, epochs)
                log = follow(system, run, system.limit)
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


def _difference(figures: dict[str, list[Figures]]) -> str:
    """Say how far the losses of the peers are from each other: they draw the same batches."""
    losses = [run.losses for name, runs in figures.items() if name != "ours" for run in runs]
    spreads = [max(step) - min(step) for step in zip(*losses, strict=False)]
    return f"The peers' losses of the first {len(spreads)} steps differ by {max(spreads, default=0.0):.1e}."


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
