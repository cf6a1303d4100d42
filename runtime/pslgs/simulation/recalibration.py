"""A second look at the model in each evaluation: with BatchNorm statistics of fresh global batches."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.data.local import LocalDataset
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.schedule import LocalBatches, draw_global_schedule
from pslgs.splitting.modes import mode_of
from pslgs.training.evaluation import Score
from pslgs.training.recalibration import batch_norm_statistics, batch_norms, using_statistics
from pslgs.training.task import Task

_EPOCH = 0
"""Whose local order and augmentation are used; trainings count from 1."""


class Recalibration:
    """Scores the model as if its last steps had been global batches.

    The batches are drawn from the clients' training data and only looked at: parameters, statistics and
    random states of the training stay as they are.
    """

    def __init__(
        self, task: Task, datasets: Mapping[str, LocalDataset], batch_size: int, batches: int
    ) -> None:
        """Take client -> training samples, and over how many global batches statistics are estimated."""
        self._task = task
        self._datasets = list(datasets.values())
        self._batch_size = batch_size
        self._batches = batches

    def statistics(self, step: int) -> list[Tensor] | None:
        """Estimate the statistics after ``step``; None where none are wanted, or there is no BatchNorm."""
        if not self._batches or not batch_norms(self._task.network.server_part):
            return None
        return batch_norm_statistics(self._task, self._smashed(step))

    def score(self, statistics: list[Tensor] | None, score: Callable[[], Score]) -> Score:
        """Call ``score`` while the model has these statistics; without them, nothing is scored."""
        if statistics is None:
            return Score()
        with using_statistics(self._task, statistics):
            return score()

    def _smashed(self, step: int) -> Iterator[Tensor]:
        """Compute the smashed data of the first batches of an epoch that `Global` would draw."""
        sizes = np.array([data.samples for data in self._datasets])
        rng = generator(self._task.seed, Purpose.RECALIBRATION, step)
        schedule = draw_global_schedule(sizes, self._batch_size, rng)
        used = np.zeros_like(sizes)
        for number in range(min(self._batches, len(schedule))):
            batch = schedule.local_batches(number)
            yield self._forward(batch, used[batch.clients])
            used[batch.clients] += batch.sizes

    def _forward(self, batch: LocalBatches, offsets: NDArray[np.int64]) -> Tensor:
        shares = zip(batch.clients.tolist(), offsets.tolist(), batch.sizes.tolist(), strict=True)
        inputs = [
            self._datasets[client].batch(_EPOCH, offset, size).inputs for client, offset, size in shares
        ]
        part, layout = self._task.network.client_part, self._task.layout
        with torch.no_grad(), mode_of(part, training=False):
            return layout.pack(part(torch.cat(inputs).to(layout.dtype)))
