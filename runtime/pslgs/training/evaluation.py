"""Measuring the model without touching it: no randomness, no gradients, no running statistics."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pslgs.data.local import LocalDataset
from pslgs.splitting.modes import mode_of
from pslgs.training.task import Task
from pslgs.training.vectors import floating_tensors


@dataclass(frozen=True, slots=True)
class Score:
    """Sums over evaluated samples; scores add up.

    Attributes:
        samples: How many.
        loss_sum: Of the samples' losses.
        correct: How many are classified rightly; None where there are no classes.
    """

    samples: int = 0
    loss_sum: float = 0.0
    correct: int | None = None

    def __add__(self, other: "Score") -> "Score":
        both = [count for count in (self.correct, other.correct) if count is not None]
        correct = sum(both) if both else None
        return Score(self.samples + other.samples, self.loss_sum + other.loss_sum, correct)

    @property
    def loss(self) -> float:
        """Mean loss; NaN without samples."""
        return self.loss_sum / self.samples if self.samples else float("nan")

    @property
    def accuracy(self) -> float | None:
        """Share of samples classified rightly, 0 … 1; None without classes or samples."""
        return self.correct / self.samples if self.correct is not None and self.samples else None


@torch.no_grad()
def score_smashed(task: Task, smashed: Tensor, labels: Tensor) -> Score:
    """Score smashed data (rows, features) with labels (rows, label width) on the server part."""
    part = task.network.server_part
    device = next((tensor.device for tensor in part.parameters()), smashed.device)
    there = labels.to(device)
    with mode_of(part, training=False):
        outputs = part(*task.layout.unpack(smashed.to(device)))
    loss = task.objective.mean_loss(outputs, there).item() * len(labels)
    return Score(len(labels), loss, task.objective.correct(outputs, there))


@torch.no_grad()
def score_samples(task: Task, data: LocalDataset, first: int, count: int) -> Score:
    """Score samples ``first`` … ``first + count - 1`` of ``data`` on the whole model.

    Raises:
        InputError: a sample is damaged, or its label does not fit the model.
    """
    part = task.network.client_part
    batch = data.in_order(first, count)
    tensor = next(iter(floating_tensors(part)), None)
    inputs = batch.inputs if tensor is None else batch.inputs.to(tensor.device, tensor.dtype)
    with mode_of(part, training=False):
        smashed = task.layout.pack(part(inputs))
    return score_smashed(task, smashed, task.objective.as_labels(batch.labels))
