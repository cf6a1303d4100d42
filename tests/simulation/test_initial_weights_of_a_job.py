"""A job starts from its initial weights; its journal, status and report tell what was loaded."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from pslgs.reporting.history import History
from pslgs.reporting.page import read_manifest, render
from pslgs.simulation.api import simulate
from pslgs.splitting.network import build_network
from pslgs.telemetry.records import Record, WeightsRecord
from pslgs.telemetry.status import Status, next_status
from simulation.jobs import document, job

MESSAGE = "initial weights: loaded 2 of 4 tensors from /w.pth; kept random as excepted: fc.weight, fc.bias"


def test_the_status_and_the_report_tell_what_was_loaded() -> None:
    record = WeightsRecord(3.0, 0, MESSAGE)
    assert next_status(Status(0.0, 1, 1), record).to_json()["notice"] == MESSAGE
    page = render(read_manifest(Path("none")), History((record,)))
    assert page.count("loaded 2 of 4 tensors from /w.pth") == 2  # among the settings and the events


def test_a_simulation_starts_from_the_weights_and_records_them(tmp_path: Path) -> None:
    model = document()["spec"]["model"]
    given = build_network(job().spec.model, seed=77).named_tensors()
    save_file({f"module.{name}": tensor for name, tensor in given.items()}, tmp_path / "w.safetensors")
    weights = {"path": str(tmp_path / "w.safetensors"), "strip": "module.", "except": ["output"]}
    started = job(
        model=model | {"initialWeights": weights},
        epochs=1,
        optimizer={"learningRate": 1e-12},
        sampling={"globalBatchSize": 512, "seed": 3},
    )
    records: list[Record] = []
    result = simulate(started, watch=lambda record, _steps: records.append(record))
    assert result.model is not None
    random = build_network(started.spec.model, seed=3).named_tensors()
    for name, tensor in result.model.items():
        expected = random if name.startswith("output") else given
        torch.testing.assert_close(tensor, expected[name].detach(), rtol=0, atol=1e-6)
    (record,) = (each for each in records if isinstance(each, WeightsRecord))
    assert "loaded 4 of 6 tensors" in record.message
