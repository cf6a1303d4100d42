"""The jobs that are measured, and the images that one of them is trained on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

IMAGES = 128 * 24


class Images:
    """Noise in the form of CIFAR-10's images: what is measured does not depend on what they show."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.labels = rng.integers(0, 10, IMAGES)
        self._pixels = rng.integers(0, 256, (IMAGES, 3, 32, 32), dtype=np.uint8)

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self._pixels[index]), int(self.labels[index])


def resnet(clients: int) -> dict[str, Any]:
    """Return the paper's network and batch, for a few steps."""
    model = {"architecture": "resnet18-cifar", "options": {"num_classes": 10}, "cutLayer": "layer1"}
    train = {"format": "Custom", "entrypoint": "benchmarks.jobs:Images"}
    return _manifest("resnet18-cifar", clients, model, train, batch=128, epochs=1)


def cnn(clients: int) -> dict[str, Any]:
    """Return a network that computes little for what crosses its cut."""
    model = {"architecture": "cnn", "options": {"width": 16}, "cutLayer": "conv1"}
    train = {"format": "Custom", "entrypoint": "benchmarks.jobs:Images"}
    return _manifest("cnn", clients, model, train, batch=64, epochs=20)


def mlp(clients: int) -> dict[str, Any]:
    """Return a network so small that all of a step is overhead."""
    options = {"inputs": 64, "hidden": [128, 64], "outputs": 10}
    model = {"architecture": "mlp", "options": options, "cutLayer": "hidden1"}
    train = {"format": "ScikitLearn", "name": "digits"}
    return _manifest("mlp-digits", clients, model, train, batch=64, epochs=20)


def _manifest(  # noqa: PLR0913, PLR0917 - the fields of a manifest
    name: str, clients: int, model: Mapping[str, Any], train: Mapping[str, Any], batch: int, epochs: int
) -> dict[str, Any]:
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": name},
        "spec": {
            "model": dict(model),
            "data": {"train": dict(train), "partition": {"scheme": "IID", "clients": clients}},
            "epochs": epochs,
            "sampling": {"globalBatchSize": batch},
            "checkpoint": {"everySteps": 1_000_000},
        },
    }
