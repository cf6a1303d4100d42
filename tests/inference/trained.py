"""A trained run in a folder, made without training."""

from pathlib import Path
from typing import Any

import torch

from pslgs.coordination.feature_moments import FeatureScale
from pslgs.server.run_checkpoint import write_model
from pslgs.spec import parse_job
from pslgs.spec.result_files import MODEL_FILE
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.checkpoint import CheckpointStore
from pslgs.training.description import STATE_KEY, ModelDescription, describe
from pslgs.training.setup import TrainingSetup, build_setup

CLASSES = ("benign", "malignant", "normal")
SHAPE = (3, 16, 16)


def document(**given: Any) -> dict[str, Any]:
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "scans"},
        "spec": {
            "model": {"architecture": "cnn", "options": {"width": 4, "classes": 3}, "cutLayer": "conv2"},
            "data": {
                "train": {"format": "ImageFolder", "path": "/data/{client}", "classes": list(CLASSES)},
                "transforms": [
                    {"name": "RandomCrop", "size": 16},
                    {"name": "Normalize", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
                ],
            },
            "epochs": 1,
        }
        | given,
    }


class Trained:
    """A network with weights and statistics of its own, and the folder of its run."""

    def __init__(
        self, run: Path, scale: FeatureScale | None = None, shape: tuple[int, ...] = SHAPE, **given: Any
    ) -> None:
        self.run, self._shape = run, shape
        self.document = document(**given)
        self.spec = parse_job(self.document).spec
        self.setup, self.network = self._build()
        with torch.no_grad():
            for tensor in self.network.named_tensors().values():
                if tensor.is_floating_point():
                    tensor.add_(0.1 * torch.rand(tensor.shape))
        self.description: ModelDescription = describe(self.spec, self.setup, self.network, None, scale)

    def _build(self) -> tuple[TrainingSetup, SplitNetwork]:
        return build_setup(self.spec, self._shape)

    def finish(self, file: str = MODEL_FILE) -> "Trained":
        """Write the model, as at the end of a training."""
        self.run.mkdir(parents=True, exist_ok=True)
        write_model(self.network.named_tensors(), self.description, self.run, file)
        return self

    def save(self, step: int) -> "Trained":
        """Write a checkpoint."""
        store = CheckpointStore(self.run / "checkpoints", keep=2)
        store.save(step, {"model": self.network.named_tensors()}, {STATE_KEY: self.description.to_metadata()})
        return self

    def outputs(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the network itself gives in evaluation."""
        model = self.network.whole_model().eval()
        with torch.no_grad():
            return model(inputs)
