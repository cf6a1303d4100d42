"""Server and clients in network namespaces of their own: lost packets, slow and cut links."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from emulated_network.deployment import Deployment
from emulated_network.network import CUT, Network, missing
from emulated_network.relay import Conditions
from local_runs import kill_points
from local_runs.runs import LIMIT_SECONDS, pslgs_forked, records, until
from local_runs.test_killed_processes import assert_equal_models
from process_chaos.samples import audit, last_step
from pslgs.telemetry.records import ClientRecord

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()} for network namespaces"),
]
CLIENTS = [f"client-{number}" for number in range(3)]
JOURNAL = Path("run", "metrics.jsonl")
EPOCHS = 10


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network(f"pslgs-{os.getpid()}", CLIENTS)
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path, network: Network) -> Iterator[Callable[..., Deployment]]:
    deployed: list[Deployment] = []

    def begin(**tolerance: object) -> Deployment:
        document = kill_points.manifest(epochs=EPOCHS, faultTolerance={"onLostClient": "Wait", **tolerance})
        deployed.append(Deployment(tmp_path, network, document))
        deployed[-1].start()
        until(lambda: last_step(tmp_path / JOURNAL) >= 3, "the first steps")
        return deployed[-1]

    yield begin
    for each in deployed:
        each.stop()


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
    assert set(job.exit_codes(LIMIT_SECONDS).values()) == {0}, job.logs()
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
    assert set(job.exit_codes(LIMIT_SECONDS).values()) == {0}, job.logs()
    assert audit(tmp_path / JOURNAL, EPOCHS, kill_points.SAMPLES) == []
    assert changes(job)["joined"] == 3 + changes(job)["lost"]


def changes(job: Deployment) -> Counter[str]:
    return Counter(record.change for record in records(job.run) if isinstance(record, ClientRecord))


def pause(rng: np.random.Generator) -> None:
    time.sleep(rng.uniform(0.3, 1.5))
