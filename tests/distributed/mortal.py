"""A network and data that end their own process, once, at a chosen point of a step.

The environment says where (``MORTAL_POINT``), in which process (``MORTAL_PROCESS``, a word of its command
line) and after how many passages (``MORTAL_AFTER``); the file ``MORTAL_MARK`` remembers that it is done.
With ``MORTAL_VICTIM=parent`` the process that started it is killed in its place.
"""

import multiprocessing
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn

SAMPLES = 200
CLASSES = 4

_passages: Counter[str] = Counter()


def pass_by(point: str) -> None:
    """Die here if this is the place and the time."""
    mark = Path(os.environ.get("MORTAL_MARK", os.devnull))
    if os.environ.get("MORTAL_POINT") != point or os.environ["MORTAL_PROCESS"] not in sys.argv:
        return
    _passages[point] += 1
    if _passages[point] > int(os.environ["MORTAL_AFTER"]) and not mark.exists():
        mark.touch()
        os.kill(_victim(), signal.SIGKILL)


def _victim() -> int:
    parent = multiprocessing.parent_process()
    return parent.pid if parent and os.environ.get("MORTAL_VICTIM") == "parent" else os.getpid()


class _Passage(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, name: str) -> torch.Tensor:
        ctx.name = name
        if torch.is_grad_enabled() or x.requires_grad:
            pass_by(f"{name} forward")
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        pass_by(f"{ctx.name} backward")
        return gradient, None


class Mortal(nn.Module):
    """Passes its input on, unless it dies."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name_of_part = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            x = _Passage.apply(x, self._name_of_part)
        return x


def network() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Dropout(0.2), Mortal("client")),
        nn.Sequential(nn.Linear(24, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), Mortal("server")),
        nn.Linear(16, CLASSES),
    )


class Vectors:
    """Samples whose class is where they are largest."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.labels = rng.integers(0, CLASSES, SAMPLES)
        self._vectors = rng.normal(size=(SAMPLES, 16)).astype(np.float32)
        self._vectors[np.arange(SAMPLES), self.labels] += 3

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        pass_by("load")
        return torch.from_numpy(self._vectors[index]), int(self.labels[index])


def manifest(**spec) -> dict:
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "mortal"},
        "spec": {
            "model": {"architecture": "distributed.mortal:network", "cutLayer": "0"},
            "data": {
                "train": {"format": "Custom", "entrypoint": "distributed.mortal:Vectors"},
                "partition": {"scheme": "ExtendedDirichlet", "clients": 3, "classesPerClient": 2},
            },
            "epochs": 6,
            "optimizer": {"learningRate": 0.05},
            "sampling": {"globalBatchSize": 16},
            "checkpoint": {"everySteps": 7},
            "faultTolerance": {"clientTimeoutSeconds": 20},
        }
        | spec,
    }
