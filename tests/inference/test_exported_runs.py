"""The exported model of a run is scored on the run's evaluation data, prepared as in the run."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from inference.trained import CLASSES, Trained
from pslgs.coordination.feature_moments import FeatureScale
from pslgs.inference.formats import ExportFormat, Part
from pslgs.launch.export_run import export_run
from pslgs.spec.errors import InputError
from pslgs.telemetry.records import EvaluationRecord, encode

SAMPLES = 40
FEATURES = 6
MEAN, DEVIATION = [100.0] * FEATURES, [0.5] * FEATURES
MODEL = {
    "architecture": "mlp",
    "options": {"inputs": FEATURES, "hidden": [16], "outputs": 3},
    "cutLayer": "hidden1",
}


def finished_run(run: Path, *, wrong: float = 0.0, file: str = "model.safetensors") -> None:
    """Write the folder of a run whose model is right for half of its evaluation samples."""
    values = np.random.default_rng(0).normal(MEAN, DEVIATION, (SAMPLES, FEATURES)).astype(np.float32)
    source = {"format": "NumPy", "path": str(run / "test.npz"), "classes": list(CLASSES)}
    data = {"train": source, "evaluation": source, "standardize": "PerFeature"}
    trained = Trained(run, FeatureScale.of(MEAN, DEVIATION, FEATURES), (FEATURES,), model=MODEL, data=data)
    trained.finish(file)
    scaled = (torch.from_numpy(values) - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    found = trained.outputs(scaled).argmax(dim=1).numpy()
    half = np.arange(SAMPLES) % 2
    np.savez(run / "test.npz", x=values, y=(found + half) % 3)
    (run / "job.yaml").write_text(yaml.safe_dump(trained.document), encoding="utf-8")
    record = EvaluationRecord(0.0, 1, 0, SAMPLES, 1.0, 0.5 + wrong)
    (run / "metrics.jsonl").write_bytes(encode(record) + b"\n")


def test_the_accuracy_of_a_standardised_run_is_that_of_its_journal(tmp_path: Path) -> None:
    finished_run(tmp_path)
    file = tmp_path / "m.pt"
    exported = export_run(tmp_path, "final", ExportFormat.TORCHSCRIPT, Part.WHOLE, file, tmp_path)
    assert (exported.accuracy, exported.recorded, exported.samples) == (0.5, 0.5, SAMPLES)
    assert file.is_file()


def test_a_file_with_another_accuracy_than_the_run_is_removed(tmp_path: Path) -> None:
    finished_run(tmp_path, wrong=0.1)
    file = tmp_path / "m.pt"
    with pytest.raises(InputError, match="the run recorded 60"):
        export_run(tmp_path, "final", ExportFormat.TORCHSCRIPT, Part.WHOLE, file, tmp_path)
    assert not file.exists()


def evaluated(run: Path) -> None:
    """Write a journal with an accuracy of half in the best of three evaluations by their AUROC."""
    records = [
        EvaluationRecord(0.0, epoch, epoch, SAMPLES, 1.0, accuracy, metric="AUROC", metrics={"AUROC": value})
        for epoch, (accuracy, value) in enumerate([(0.1, 0.8), (0.5, 0.9), (1.0, 0.85), (0.9, None)], start=1)
    ]
    (run / "metrics.jsonl").write_bytes(b"".join(encode(each) + b"\n" for each in records))


def test_the_best_model_is_scored_as_in_the_best_evaluation(tmp_path: Path) -> None:
    finished_run(tmp_path, file="best.safetensors")
    evaluated(tmp_path)
    file = tmp_path / "m.pt"
    exported = export_run(tmp_path, "best", ExportFormat.TORCHSCRIPT, Part.WHOLE, file, tmp_path)
    assert (exported.place.name, exported.accuracy, exported.recorded) == ("best.safetensors", 0.5, 0.5)
