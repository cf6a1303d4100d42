"""The distributed run against a plain loop: both train the same job on the same cores, in turn."""

import json
import re
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from benchmarks.processes import run_module

from pslgs.telemetry.journal import read
from pslgs.telemetry.records import StepRecord

WARM_UP = 0.2
"""Share of the steps that is left out at the start."""

PEAK = re.compile(r"peak memory (\d+) MiB")


@dataclass(frozen=True, slots=True)
class Distributed:
    """What a distributed run took.

    Attributes:
        step: Seconds from the end of a step to the end of the next, median.
        phases: Where they went, medians.
        server_memory: Peak, MiB.
        client_memory: Peak of the largest client, MiB.
    """

    step: float
    phases: dict[str, float]
    server_memory: int
    client_memory: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One job measured both ways, in turn, several times."""

    name: str
    clients: int
    batch: int
    plain: Sequence[float]
    distributed: Sequence[Distributed]

    @property
    def ratio(self) -> float:
        """Samples/s of the distributed run over those of the loop, median of the pairs."""
        pairs = zip(self.plain, self.distributed, strict=True)
        return statistics.median(plain / distributed.step for plain, distributed in pairs)

    @property
    def overhead(self) -> float:
        """Seconds a distributed step takes longer, median of the pairs."""
        pairs = zip(self.plain, self.distributed, strict=True)
        return statistics.median(distributed.step - plain for plain, distributed in pairs)


def compare(manifest: dict[str, Any], repeats: int) -> Comparison:
    """Measure a job both ways, ``repeats`` times in turn."""
    plain: list[float] = []
    distributed: list[Distributed] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            job = Path(folder) / "job.yaml"
            job.write_text(yaml.safe_dump(manifest), encoding="utf-8")
            plain.append(run_plain(job))
            distributed.append(run_distributed(job))
    spec = manifest["spec"]
    return Comparison(
        manifest["metadata"]["name"],
        spec["data"]["partition"]["clients"],
        spec["sampling"]["globalBatchSize"],
        plain,
        distributed,
    )


def run_plain(job: Path) -> float:
    """Return the median seconds of a step of the plain loop."""
    return _median(json.loads(run_module("benchmarks.plain", str(job))))


def run_distributed(job: Path) -> Distributed:
    """Run a job as a user would, and read what it took from its journal and logs."""
    run = job.parent / "run"
    run_module("pslgs.cli", "run", str(job), "--output", str(run))
    steps = [record for record in read(run / "metrics.jsonl") if isinstance(record, StepRecord)]
    times = [step.time for step in steps]
    phases = {name: _median([step.seconds[name] for step in steps]) for name in steps[0].seconds}
    peaks = {log.stem: int(PEAK.findall(log.read_text())[-1]) for log in (run / "logs").glob("*.log")}
    server = peaks.pop("server")
    between = [later - earlier for earlier, later in pairwise(times)]
    return Distributed(_median(between), phases, server, max(peaks.values()))


def table(comparisons: Sequence[Comparison]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| job | clients | loop: ms/step | samples/s | distributed: ms/step | samples/s | ratio | overhead | "
        "server | client |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in comparisons:
        plain = statistics.median(each.plain)
        step = statistics.median(run.step for run in each.distributed)
        server = max(run.server_memory for run in each.distributed)
        client = max(run.client_memory for run in each.distributed)
        cells = [
            f"{each.name}, B={each.batch}",
            str(each.clients),
            *(f"{plain * 1e3:.1f}", f"{each.batch / plain:,.0f}"),
            *(f"{step * 1e3:.1f}", f"{each.batch / step:,.0f}"),
            *(f"{each.ratio:.2f}", f"{each.overhead * 1e3:+.1f} ms"),
            *(f"{server} MiB", f"{client} MiB"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def phase_table(comparisons: Sequence[Comparison]) -> str:
    """Return where a distributed step's time goes as a Markdown table."""
    names = list(comparisons[0].distributed[0].phases)
    lines = [f"| job | clients | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for each in comparisons:
        medians = [statistics.median(run.phases[name] for run in each.distributed) for name in names]
        words = " | ".join(f"{value * 1e3:.1f} ms" for value in medians)
        lines.append(f"| {each.name} | {each.clients} | {words} |")
    return "\n".join(lines)


def _median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds[int(len(seconds) * WARM_UP) :])
