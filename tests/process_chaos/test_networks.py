"""Server and clients in network namespaces of their own: lost packets, slow and cut links."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from distributed import kill_points
from distributed.runs import LIMIT_SECONDS, TESTS, pslgs_forked, records, until, write_manifest
from distributed.test_killed_processes import assert_equal_models
from emulated_network.network import CUT, SERVER_ADDRESS, Network, missing
from emulated_network.relay import Conditions
from process_chaos.samples import audit, last_step
from pslgs.identity.authority import CertificateAuthority
from pslgs.telemetry.records import ClientRecord

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()} for network namespaces"),
]
DAY = timedelta(days=1)
CLIENTS = [f"client-{number}" for number in range(3)]
JOURNAL = Path("run", "metrics.jsonl")
EPOCHS = 10
PORT = 7443


class Job:
    """A server and three clients, each behind a link of its own."""

    def __init__(self, folder: Path, network: Network, **tolerance: object) -> None:
        self.folder, self.run = folder, folder / "run"
        document = kill_points.manifest(epochs=EPOCHS, faultTolerance={"onLostClient": "Wait", **tolerance})
        write_manifest(folder, document)
        self._network = network
        self._authority = CertificateAuthority.create("job", datetime.now(UTC), DAY)
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self) -> None:
        now = datetime.now(UTC)
        self._authority.issue_server([SERVER_ADDRESS], now, DAY).save(self.folder / "server-id")
        ports = ("--listen", f"{SERVER_ADDRESS}:{PORT}", "--http", f"{SERVER_ADDRESS}:8080")
        self._start("server", "server", "--run", "run", "--clients", str(len(CLIENTS)), *ports)
        for number, name in enumerate(CLIENTS):
            self._authority.issue_client(name, now, DAY).save(self.folder / f"{name}-id")
            server = ("--server", f"{SERVER_ADDRESS}:{PORT}", "--share", str(number))
            self._start(name, "client", "--id", name, *server)

    def _start(self, name: str, command: str, *options: str) -> None:
        words = [
            *(sys.executable, "-m", "pslgs.cli", command, "job.yaml", *options, "--identity", f"{name}-id"),
            *("--threads", "1", "--cache", "cache"),
        ]
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(
                self._network.inside(name, words),
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(TESTS)},
                stdout=log,
                stderr=log,
                text=True,
            )

    def has_ended(self) -> bool:
        return self.processes["server"].poll() is not None

    def exit_codes(self) -> dict[str, int]:
        return {name: process.wait(LIMIT_SECONDS) for name, process in self.processes.items()}

    def logs(self) -> str:
        return "\n".join(f"--- {log.name}\n{log.read_text()[-1500:]}" for log in self.folder.glob("*.log"))


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network(f"pslgs-{os.getpid()}", CLIENTS)
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path, network: Network) -> Iterator[Callable[..., Job]]:
    jobs: list[Job] = []

    def begin(**tolerance: object) -> Job:
        jobs.append(Job(tmp_path, network, **tolerance))
        jobs[-1].start()
        until(lambda: last_step(tmp_path / JOURNAL) >= 3, "the first steps")
        return jobs[-1]

    yield begin
    for job in jobs:
        for process in job.processes.values():
            process.kill()
            process.wait()


def trouble(kind: str, rng: np.random.Generator) -> Conditions:
    return {
        "cut": CUT,
        "loss": Conditions(loss=float(rng.uniform(0.05, 0.3))),
        "rate": Conditions(bits_per_second=1e6),
        "delay": Conditions(delay=0.05, loss=0.01),
    }[kind]


def test_a_bad_link_changes_nothing_of_the_model(start, network, tmp_path):
    """Troubles shorter than the time-outs only cost time."""
    job, rng = start(clientTimeoutSeconds=60), np.random.default_rng(4)
    for kind in rng.permutation(["cut", "loss", "rate", "delay"]):
        reached = last_step(tmp_path / JOURNAL)
        with network.under(trouble(kind, rng)):
            pause(rng)
        until(lambda reached=reached: last_step(tmp_path / JOURNAL) > reached or job.has_ended(), "a step")
    assert set(job.exit_codes().values()) == {0}, job.logs()
    assert audit(tmp_path / JOURNAL, EPOCHS, kill_points.SAMPLES) == []
    assert changes(job) == Counter(joined=3)
    reference = tmp_path / "reference"
    reference.mkdir()
    (reference / "machine.json").write_text(json.dumps({"server": 1, "client": 1}))
    simulated = pslgs_forked("simulate", "job.yaml", "--output", "reference", cwd=tmp_path)
    assert simulated.returncode == 0, simulated.stdout
    assert_equal_models(job.run, reference)


def test_clients_behind_a_cut_link_are_lost_and_return(start, network, tmp_path):
    """Each sample still counts once, in other batches."""
    job = start(clientTimeoutSeconds=2)
    with network.under(CUT):
        until(lambda: changes(job)["lost"] > 0, "a loss")
    assert set(job.exit_codes().values()) == {0}, job.logs()
    assert audit(tmp_path / JOURNAL, EPOCHS, kill_points.SAMPLES) == []
    assert changes(job)["joined"] == 3 + changes(job)["lost"]


def changes(job: Job) -> Counter[str]:
    return Counter(record.change for record in records(job.run) if isinstance(record, ClientRecord))


def pause(rng: np.random.Generator) -> None:
    time.sleep(rng.uniform(0.3, 1.5))
