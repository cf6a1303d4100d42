"""What a whole training keeps of its evaluations: the best model, and the same metrics at either place."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

from pslgs.inference.trained_model import load_model
from pslgs.launch.progress import ProgressView
from pslgs.launch.simulate_job import simulate_in_folder
from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.setup import Simulation, SimulationOptions
from pslgs.spec import parse_job
from pslgs.spec.metrics import Metric
from pslgs.telemetry.journal import read
from pslgs.telemetry.records import EvaluationRecord

CLIENTS = ("a", "b", "c")
CLASSES = 3
Samples = tuple[NDArray[np.float32], NDArray[np.int64]]


def samples(count: int, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    return (rng.normal(size=(count, 4)) + 0.8 * labels[:, None]).astype(np.float32), labels


def write(file: Path, data: Samples) -> None:
    np.savez(file, x=data[0], y=data[1])


@pytest.fixture
def data(tmp_path: Path) -> Samples:
    """Write the data of three clients, each with samples to evaluate; return all of these."""
    held: list[Samples] = []
    for number, name in enumerate(CLIENTS):
        write(tmp_path / f"{name}.npz", samples(14, number))
        held.append(samples(7 + number, 10 + number))
        write(tmp_path / f"{name}-test.npz", held[-1])
    inputs, labels = (np.concatenate(parts) for parts in zip(*held, strict=True))
    write(tmp_path / "test.npz", (inputs, labels))
    return inputs, labels


def train(folder: Path, at: str, strategy: str = "Global", **spec: Any) -> Sequence[EvaluationRecord]:
    """Simulate a training in a folder of its own; return its evaluations."""
    test = folder / ("test.npz" if at == "Server" else "{client}-test.npz")
    document = {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "small"},
        "spec": {
            "model": {
                "architecture": "mlp",
                "options": {"inputs": 4, "hidden": [8], "outputs": CLASSES},
                "cutLayer": "hidden1",
            },
            "data": {
                "train": {"format": "NumPy", "path": str(folder / "{client}.npz")},
                "evaluation": {"format": "NumPy", "path": str(test), "at": at},
            },
            "epochs": 6,
            "optimizer": {"learningRate": 1.5},
            "sampling": {"globalBatchSize": 8, "seed": 4},
        }
        | spec,
    }
    simulation = Simulation(parse_job(document), STRATEGIES[strategy], SimulationOptions(client_ids=CLIENTS))
    (folder / "run").mkdir()
    with ProgressView(Console(file=io.StringIO())) as view:
        simulate_in_folder(simulation, folder / "run", CLIENTS, view)
    records = read(folder / "run" / "metrics.jsonl")
    return [record for record in records if isinstance(record, EvaluationRecord)]


def accuracy(run: Path, which: str, data: Samples) -> float:
    with torch.no_grad():
        predicted = load_model(run, which)(torch.from_numpy(data[0])).argmax(dim=1)
    return float((predicted.numpy() == data[1]).mean())


@pytest.mark.slow
@pytest.mark.parametrize("at", ["Server", "Clients"])
@pytest.mark.parametrize(
    ("strategy", "spec"),
    [("Global", {}), ("Global", {"ema": {"decay": 0.5}}), ("FederatedAveraging", {})],
    ids=["the weights", "their average", "federated averaging"],
)
def test_the_best_model_is_the_one_that_was_evaluated(
    tmp_path: Path, data: Samples, at: str, strategy: str, spec: dict[str, Any]
) -> None:
    evaluations = train(tmp_path, at, strategy, metric="MacroF1", **spec)
    values = [each.value for each in evaluations]
    best = evaluations[values.index(max(values))]
    assert best.accuracy != evaluations[-1].accuracy
    assert accuracy(tmp_path / "run", "best", data) == pytest.approx(best.accuracy)
    assert accuracy(tmp_path / "run", "final", data) == pytest.approx(evaluations[-1].accuracy)
    assert load_model(tmp_path / "run", "best").description == load_model(tmp_path / "run").description


def test_the_metrics_of_data_at_clients_are_those_of_the_pooled_data(tmp_path: Path, data: Samples) -> None:
    found = {}
    for at in ("Server", "Clients"):
        (tmp_path / at).mkdir()
        for file in tmp_path.glob("*.npz"):
            (tmp_path / at / file.name).write_bytes(file.read_bytes())
        found[at] = train(tmp_path / at, at)
    for pooled, by_client in zip(found["Server"], found["Clients"], strict=True):
        assert by_client.samples == pooled.samples == len(data[1])
        assert by_client.metrics.pop(Metric.LOSS) == pytest.approx(pooled.metrics.pop(Metric.LOSS))
        assert by_client.metrics == pooled.metrics
        assert by_client.details == pooled.details
        assert sum(each.samples for each in by_client.clients.values()) == pooled.samples
