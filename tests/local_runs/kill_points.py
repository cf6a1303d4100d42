"""A network and a dataset that kill their process, once, at a point of a training step.

A file beside the run's folder selects the point, the process (by an argument of its command line) and the
number of passes before, see `kill`.  The file is removed first, so that the kill is not repeated.
"""

import json
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

_passes: Counter[str] = Counter()


def kill(folder: Path, process: str, point: str, after: int, *, parent: bool = False) -> Path:
    """Arrange a kill in the next run below a folder; it, or the parent of that process, ends by SIGKILL.

    Args:
        folder: Folder that contains the run's folder.
        process: An argument of the command line of the process.
        point: The kill point.
        after: Number of passes before.
        parent: Whether to kill the parent of the process instead.

    Returns:
        A file that exists until the kill.
    """
    file = folder / "kill.json"
    file.write_text(json.dumps({"process": process, "point": point, "after": after, "parent": parent}))
    return file


def kill_point(point: str) -> None:
    """Kill the process if its next kill is at this point and pass."""
    if len(sys.argv) < 3:
        return
    file = Path(sys.argv[2]).absolute().parents[1] / "kill.json"  # a child's second argument is RUN/job.yaml
    try:
        kill = json.loads(file.read_text())
    except FileNotFoundError:
        return
    if kill["point"] != point or kill["process"] not in sys.argv:
        return
    _passes[point] += 1
    if _passes[point] > kill["after"]:
        file.unlink()
        os.kill(_victim(parent=kill["parent"]), signal.SIGKILL)


def _victim(*, parent: bool) -> int:
    process = multiprocessing.parent_process()
    return process.pid if process and parent else os.getpid()


class _KillPointFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, name: str) -> torch.Tensor:
        ctx.name = name
        if torch.is_grad_enabled() or x.requires_grad:
            kill_point(f"{name} forward")
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        kill_point(f"{ctx.name} backward")
        return gradient, None


class KillPoint(nn.Module):
    """Identity with a kill point in the forward and the backward pass of one part of the network."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._part = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            x = _KillPointFunction.apply(x, self._part)
        return x


def network() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Dropout(0.2), KillPoint("client")),
        nn.Sequential(nn.Linear(24, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), KillPoint("server")),
        nn.Linear(16, CLASSES),
    )


class Vectors:
    """Random vectors; the largest of the first elements is at the index of the class."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.labels = rng.integers(0, CLASSES, SAMPLES)
        self._vectors = rng.normal(size=(SAMPLES, 16)).astype(np.float32)
        self._vectors[np.arange(SAMPLES), self.labels] += 3

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        kill_point("load")
        return torch.from_numpy(self._vectors[index]), int(self.labels[index])


def manifest(**spec) -> dict:
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "killable"},
        "spec": {
            "model": {"architecture": "local_runs.kill_points:network", "cutLayer": "0"},
            "data": {
                "train": {"format": "Custom", "entrypoint": "local_runs.kill_points:Vectors"},
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
