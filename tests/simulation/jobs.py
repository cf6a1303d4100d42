"""Jobs that are simulated."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from pslgs.spec import SplitTrainingJob, parse_job


def document(**spec: Any) -> dict:
    """A small network on handwritten digits."""
    source = {"format": "ScikitLearn", "name": "digits"}
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "digits"},
        "spec": {
            "model": {
                "architecture": "mlp",
                "options": {"inputs": 64, "hidden": [32, 16], "outputs": 10, "dropout": 0.1},
                "cutLayer": "hidden1",
            },
            "data": {
                "train": source | {"split": "Train"},
                "evaluation": source | {"split": "Test"},
                "partition": {"scheme": "ExtendedDirichlet", "clients": 8},
            },
            "epochs": 2,
            "optimizer": {"name": "SGD", "learningRate": 0.1},
            "sampling": {"globalBatchSize": 64, "seed": 3},
        }
        | spec,
    }


def job(**spec: Any) -> SplitTrainingJob:
    return parse_job(document(**spec))


def paper_labels(folder: Path) -> SplitTrainingJob:
    """The labels of the paper's dataset: ten balanced classes, 50,000 samples of a single number."""
    np.save(folder / "x.npy", np.zeros((50_000, 1), dtype=np.float32))
    np.save(folder / "y.npy", np.repeat(np.arange(10), 5_000))
    manifest = document(epochs=1)
    manifest["spec"]["model"] = {
        "architecture": "mlp",
        "options": {"inputs": 1, "hidden": [2, 2], "outputs": 10},
        "cutLayer": "hidden1",
    }
    manifest["spec"]["data"] = {"train": {"format": "NumPy", "path": str(folder)}}
    manifest["spec"]["sampling"]["globalBatchSize"] = 128
    return parse_job(manifest)


def normed_vectors() -> tuple[nn.Module, nn.Module]:
    """Both parts of a network for digits, with BatchNorm over vectors behind the cut."""
    return nn.Sequential(nn.Linear(64, 8)), nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 10))
