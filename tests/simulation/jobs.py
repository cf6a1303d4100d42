"""Jobs that are simulated."""

from typing import Any

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
