"""A manifest to break."""

from typing import Any

import pytest


@pytest.fixture
def manifest() -> dict[str, Any]:
    """The shortest manifest that is valid."""
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "digits"},
        "spec": {
            "model": {"architecture": "mlp", "cutLayer": "hidden1"},
            "data": {"train": {"format": "ScikitLearn", "name": "digits"}},
            "epochs": 3,
        },
    }
