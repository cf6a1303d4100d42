"""Steps over slow links against what the links allow, and against `pslgs plan`.

PYTHONPATH=tests python -m benchmarks.slow_links [--steps 30] [--rounds 3] [--only cnn] [--sysctl NAME=VALUE]

Server and clients have network namespaces of their own, with a link for each client that is emulated
(`tests/emulated_network`); needs root on Linux.  The links change while the job trains: in each round, all of
them are measured one after the other, beginning with one that has no limits.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from benchmarks import jobs

import pslgs
from emulated_network.deployment import Deployment
from emulated_network.network import Network
from emulated_network.relay import Conditions
from pslgs.costs.result import Plan
from pslgs.telemetry.journal import read
from pslgs.telemetry.records import StepRecord

CLIENTS: Final = 4
UNLIMITED: Final = Conditions()
LINKS: Final = {
    9000: {
        "1 Gbit/s, 5 ms": Conditions(1e9, 0.005),
        "100 Mbit/s, 20 ms": Conditions(100e6, 0.02),
    },
    1500: {
        "10 Mbit/s, 80 ms": Conditions(10e6, 0.08),
        "10 Mbit/s, 80 ms, 1 % loss": Conditions(10e6, 0.08, 0.01),
    },
}
"""Largest packet in bytes -> links; small packets of fast links would be too many for the emulation."""
JOBS: Final = {"mlp": jobs.mlp, "cnn": jobs.cnn}
COMPRESSIONS: Final = ("None", "Float16", "Int8")
SETTLING_STEPS: Final = 10
LIMIT_SECONDS: Final = 600
_NO_TIME: Final = 1e18
_SHORTEST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Measured:
    """Steps of a job over a link.

    Attributes:
        name: Name of the job.
        link: Name of the link.
        delay: Seconds from one end of the link to the other.
        step: Seconds, median.
        unlimited: Seconds of a step without limits, median.
        transfer: Seconds in which the client with the largest local batch sends and receives its bytes.
        predicted: Seconds of a step that the plan predicts with computing as fast as without limits.
    """

    name: str
    link: str
    delay: float
    step: float
    unlimited: float
    transfer: float
    predicted: float

    @property
    def bound(self) -> float:
        """The longer of computing and transfer, with the delays of the four messages in a row."""
        return max(self.unlimited, self.transfer) + 4 * self.delay


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20, help="of each link in each round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[*JOBS], choices=JOBS, help="what to measure")
    parser.add_argument("--compression", nargs="+", default=COMPRESSIONS, choices=COMPRESSIONS)
    parser.add_argument("--sysctl", action="append", default=[], help="set at all ends, e.g. another tcp_…")
    arguments = parser.parse_args()
    print("| job | compression | link | step, ms | bound, ms | step / bound | plan, ms | step / plan |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.only:
        for compression in arguments.compression:
            manifest = JOBS[name](CLIENTS)
            manifest["spec"]["transport"] = {"compression": compression}
            manifest["spec"]["epochs"] = 10_000
            for mtu in LINKS:
                for each in measure(manifest, mtu, arguments.steps, arguments.rounds, arguments.sysctl):
                    print(row(each, compression), flush=True)


def row(measured: Measured, compression: str) -> str:
    """Return a row of the table."""
    step, bound, predicted = measured.step, measured.bound, measured.predicted
    cells = [
        *(measured.name, compression, measured.link, f"{step * 1e3:.0f}"),
        *(f"{bound * 1e3:.0f}", f"{step / bound:.2f}", f"{predicted * 1e3:.0f}", f"{step / predicted:.2f}"),
    ]
    return f"| {' | '.join(cells)} |"


def measure(
    manifest: Mapping[str, Any], mtu: int, steps: int, rounds: int, sysctls: Sequence[str]
) -> Iterator[Measured]:
    """Train a job while its links change; yield what each took."""
    links = LINKS[mtu]
    seconds: dict[str, list[float]] = {name: [] for name in ("unlimited", *links)}
    with deployed(manifest, mtu, sysctls) as (network, deployment):
        for _ in range(rounds):
            for name, conditions in {"unlimited": UNLIMITED, **links}.items():
                network.set(conditions)
                seconds[name] += next_steps(deployment, steps)
    unlimited = statistics.median(seconds["unlimited"])
    for name, conditions in links.items():
        yield Measured(
            manifest["metadata"]["name"],
            name,
            conditions.delay,
            statistics.median(seconds[name]),
            unlimited,
            transfer(manifest, conditions),
            predicted(manifest, conditions, unlimited),
        )


@contextmanager
def deployed(
    manifest: Mapping[str, Any], mtu: int, sysctls: Sequence[str]
) -> Iterator[tuple[Network, Deployment]]:
    """Start a job in namespaces; end it with the block."""
    clients = [f"client-{number}" for number in range(CLIENTS)]
    network = Network(f"pslgs-{os.getpid()}", clients, mtu=mtu)
    try:
        for end in ("server", *clients):
            for setting in sysctls:
                subprocess.run(network.inside(end, ["sysctl", "-qw", setting]), check=True)
        with tempfile.TemporaryDirectory() as folder:
            deployment = Deployment(Path(folder), network, manifest)
            try:
                deployment.start()
                yield network, deployment
            finally:
                deployment.stop()
    finally:
        network.close()


def next_steps(deployment: Deployment, number: int) -> list[float]:
    """Wait for steps, the first of which are not measured; return the seconds of the others."""
    before = len(step_times(deployment))
    deadline = time.monotonic() + LIMIT_SECONDS
    while len(times := step_times(deployment)) < before + SETTLING_STEPS + number + 1:
        if deployment.has_ended() or time.monotonic() > deadline:
            raise RuntimeError(deployment.logs())
        time.sleep(0.2)
    measured = times[before + SETTLING_STEPS :][: number + 1]
    return [later - earlier for earlier, later in pairwise(measured)]


def step_times(deployment: Deployment) -> list[float]:
    """Return when steps were committed."""
    journal = deployment.run / "metrics.jsonl"
    if not journal.exists():
        return []
    return [each.time for each in read(journal) if isinstance(each, StepRecord)]


def predicted(manifest: Mapping[str, Any], conditions: Conditions, unlimited: float) -> float:
    """Return the seconds that a plan predicts for machines on which a step without limits takes as long."""
    measured = planned(manifest, UNLIMITED)
    slower = measured.own_cut.step.total / unlimited
    return planned(
        manifest, conditions, measured.client_flops * slower, measured.server_flops * slower
    ).own_cut.step.total


def transfer(manifest: Mapping[str, Any], conditions: Conditions) -> float:
    """Return the seconds in which the client with the largest local batch sends and receives its bytes."""
    step = planned(manifest, conditions, _NO_TIME, _NO_TIME).own_cut.step
    return step.total - step.latency


def planned(
    manifest: Mapping[str, Any],
    conditions: Conditions,
    client_flops: float | None = None,
    server_flops: float | None = None,
) -> Plan:
    """Return the plan of a job over a link; speeds that are not given are measured."""
    return pslgs.plan(
        pslgs.parse_job(manifest),
        bandwidth=f"{conditions.bits_per_second / 1e6:g}Mbps",
        latency=f"{max(conditions.delay, _SHORTEST) * 1e3:g}ms",
        client_flops=None if client_flops is None else f"{client_flops / 1e9:.9f}G",
        server_flops=None if server_flops is None else f"{server_flops / 1e9:.9f}G",
    )


if __name__ == "__main__":
    main()
