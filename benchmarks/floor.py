"""`pslgs run` against the program of `benchmarks.bare`: both run the steps of one job, in turn.

CPU time is that of the whole machine (Linux), so nothing else may run beside them.
"""

import statistics
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from benchmarks import bare
from benchmarks.processes import busy_seconds, run_module

from pslgs.telemetry.journal import read
from pslgs.telemetry.records import StepRecord

SHORT_EPOCHS, LONG_EPOCHS = 10, 60
"""Epochs of the two runs whose difference is what steps take, without start and end."""


class Costs(NamedTuple):
    """What a step costs.

    Attributes:
        seconds: From the end of a step to the end of the next, median.
        cpu_seconds: Of the whole machine, mean.
    """

    seconds: float
    cpu_seconds: float


class Comparison(NamedTuple):
    """The costs of pairs of runs."""

    bare: Sequence[Costs]
    ours: Sequence[Costs]

    @property
    def ratios(self) -> Costs:
        """Ours over those of the bare program, medians of the pairs."""
        pairs = [(*bare, *ours) for bare, ours in zip(self.bare, self.ours, strict=True)]
        return Costs(
            statistics.median(ours / bare for bare, _, ours, _ in pairs),
            statistics.median(ours / bare for _, bare, _, ours in pairs),
        )


def compare(manifest: dict[str, Any], repeats: int) -> Comparison:
    """Measure both ``repeats`` times in turn."""
    pairs = [(_bare(manifest), _ours(manifest)) for _ in range(repeats)]
    return Comparison([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def table(comparison: Comparison) -> str:
    """Return the figures as a Markdown table."""
    bare, ours = (Costs(*map(statistics.median, zip(*costs, strict=True))) for costs in comparison)
    lines = ["| a step of mlp-digits | bare | ours | ours / bare |", "|---|---|---|---|"]
    rows = zip(("ms", "CPU ms, all cores"), bare, ours, comparison.ratios, strict=True)
    lines += [
        f"| {title} | {one * 1e3:.1f} | {two * 1e3:.1f} | {ratio:.2f} |" for title, one, two, ratio in rows
    ]
    return "\n".join(lines)


def _bare(manifest: dict[str, Any]) -> Costs:
    clients = manifest["spec"]["data"]["partition"]["clients"]
    samples = manifest["spec"]["sampling"]["globalBatchSize"] // clients
    with tempfile.TemporaryDirectory() as folder:
        path = _write(manifest, LONG_EPOCHS, Path(folder))
        measured = bare.run(bare.BareJob(path, clients, samples, warm_up=200, steps=1100))
    return Costs(statistics.median(measured.seconds), measured.cpu_seconds / len(measured.seconds))


def _ours(manifest: dict[str, Any]) -> Costs:
    with tempfile.TemporaryDirectory() as folder:
        short, short_cpu = _run(manifest, SHORT_EPOCHS, Path(folder) / "short")
        long, long_cpu = _run(manifest, LONG_EPOCHS, Path(folder) / "long")
    between = [later - earlier for earlier, later in pairwise(long[len(short) :])]
    return Costs(statistics.median(between), (long_cpu - short_cpu) / (len(long) - len(short)))


def _run(manifest: dict[str, Any], epochs: int, folder: Path) -> tuple[list[float], float]:
    """Run a job; return when its steps ended, and the CPU seconds of the machine meanwhile."""
    folder.mkdir()
    before = busy_seconds()
    run_module("pslgs.cli", "run", str(_write(manifest, epochs, folder)), "--output", str(folder / "run"))
    busy = busy_seconds() - before
    steps = [each for each in read(folder / "run" / "metrics.jsonl") if isinstance(each, StepRecord)]
    return [step.time for step in steps], busy


def _write(manifest: dict[str, Any], epochs: int, folder: Path) -> Path:
    document = deepcopy(manifest)
    document["spec"]["epochs"] = epochs
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path
