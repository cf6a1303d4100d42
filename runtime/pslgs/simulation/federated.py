"""Federated averaging (McMahan et al. 2017), the baseline without a cut."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from pslgs.data.local import LocalDataset
from pslgs.sampling.randomness import Purpose, client_key, torch_seed
from pslgs.sampling.schedule import chunk_of
from pslgs.training.evaluation import Score, score_samples
from pslgs.training.optimization import apply_step, build_optimizer, learning_rate
from pslgs.training.seeding import seed_torch
from pslgs.training.single_samples import single_sample_explained
from pslgs.training.task import Task
from pslgs.training.vectors import floating_tensors, trainable


class Round(NamedTuple):
    """A round that is applied: its number from 1, mean loss over all samples, and learning rate."""

    number: int
    loss: float
    learning_rate: float


class FederatedTraining:
    """Trains the same network, GroupNorm before the cut included, without cutting it.

    In a round each client takes the weights, trains one epoch over its own data in near-equal batches of
    at most B samples with an optimizer of its own, and the results are averaged with weights N_k/N,
    BatchNorm's statistics too.
    """

    def __init__(self, task: Task, datasets: Mapping[str, LocalDataset], batch_size: int) -> None:
        self._task = task
        self._datasets = {name: data for name, data in datasets.items() if data.samples}
        self._batch_size = batch_size
        self._model = task.network.whole_model()
        parts = task.network.client_part, task.network.server_part
        self._tensors = [tensor for part in parts for tensor in floating_tensors(part)]
        self._trained = [parameter for part in parts for parameter in trainable(part)]

    def rounds(self) -> Iterator[Round]:
        """Train one round after another, one for each epoch of the job."""
        for number in range(1, self._task.epochs + 1):
            rate = learning_rate(self._task.optimizer, number, self._task.epochs)
            yield Round(number, self._round(number, rate), rate)

    def evaluate(self, data: LocalDataset) -> Score:
        """Score the averaged network."""
        firsts = range(0, data.samples, self._batch_size)
        sizes = (min(self._batch_size, data.samples - first) for first in firsts)
        scores = (
            score_samples(self._task, data, first, size) for first, size in zip(firsts, sizes, strict=True)
        )
        return sum(scores, Score())

    def _round(self, number: int, rate: float) -> float:
        begun = [tensor.clone() for tensor in self._tensors]
        total = [torch.zeros_like(tensor, dtype=torch.float64) for tensor in self._tensors]
        pooled = sum(data.samples for data in self._datasets.values())
        loss = 0.0
        for client, data in self._datasets.items():
            _copy(self._tensors, begun)
            loss += data.samples / pooled * self._local_epoch(client, data, number, rate)
            for weighted, tensor in zip(total, self._tensors, strict=True):
                weighted.add_(tensor, alpha=data.samples / pooled)
        _copy(self._tensors, total)
        return loss

    def _local_epoch(self, client: str, data: LocalDataset, number: int, rate: float) -> float:
        """Train one client; return the mean loss over its samples."""
        self._model.train()
        seed_torch(torch_seed(self._task.seed, Purpose.CLIENT_DROPOUT, number, client_key(client)))
        optimizer = build_optimizer(self._task.optimizer, self._trained)
        batches = -(-data.samples // self._batch_size)
        loss_sum = 0.0
        for index in range(batches):
            start, stop = chunk_of(index, data.samples, batches)
            batch = data.batch(number, start, stop - start)
            with single_sample_explained(self._model, stop - start, f"client {client}"):
                outputs = self._model(batch.inputs.to(self._tensors[0].dtype))
            loss = self._task.objective.mean_loss(outputs, self._task.objective.as_labels(batch.labels))
            torch.autograd.backward(loss)
            apply_step(optimizer, rate)
            loss_sum += loss.item() * (stop - start)
        return loss_sum / data.samples


@torch.no_grad()
def _copy(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)
