"""A simulation finds sites by name, skips damaged samples and records what clients leave out."""

import numpy as np
import pytest

from pslgs.launch.local_clients import local_clients
from pslgs.simulation.api import simulate
from pslgs.simulation.setup import SimulationOptions
from pslgs.spec import parse_job
from pslgs.telemetry.records import ClientRecord, StepRecord
from simulation.jobs import document


def manifest(folder) -> dict:
    described = document(epochs=1)
    spec = described["spec"]
    spec["model"] = {
        "architecture": "mlp",
        "options": {"inputs": 2, "hidden": [4], "outputs": 2},
        "cutLayer": "hidden1",
    }
    spec["data"] = {
        "train": {"format": "NumPy", "path": f"{folder}/{{client}}.npz"},
        "onDamagedSample": "Skip",
    }
    spec["sampling"] = {"globalBatchSize": 4}
    return described


@pytest.fixture
def folder(tmp_path):
    for name in ("Site_1", "site 2"):
        x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
        if name == "Site_1":
            x[[2, 5], 0] = np.nan
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.arange(8) % 2)
    return tmp_path


def test_damaged_samples_are_counted_and_never_drawn(folder):
    job = parse_job(manifest(folder))
    names = [client.client_id for client in local_clients(job.spec, None)]
    records = []
    simulate(
        job,
        options=SimulationOptions(client_ids=names),
        watch=lambda record, _: records.append(record),
    )
    assert names == ["site-1", "site-2"]
    joins = [record for record in records if isinstance(record, ClientRecord)]
    assert [(each.client, each.samples, each.left_out) for each in joins] == [("site-1", 6, {"damaged": 2})]
    drawn = [record.batch_size for record in records if isinstance(record, StepRecord)]
    assert sum(drawn) == 14
