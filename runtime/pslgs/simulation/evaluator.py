"""Carries out a job's evaluations with tensors."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.coordination import effects as do
from pslgs.coordination.events import Ticket
from pslgs.data.local import LocalDataset
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.schedule import LocalBatches, draw_global_schedule
from pslgs.simulation.outcomes import EvaluationOutcome
from pslgs.simulation.setup import Threads, on_cores
from pslgs.spec.transport import Compression
from pslgs.training.evaluation import Score, score_dataset
from pslgs.training.server_model import ServerModel
from pslgs.training.slices import slice_rows
from pslgs.training.task import Task
from pslgs.wire.codec import codec_for


class CodecRoundtrip:
    """Lets rows cross the cut with the same loss as over a wire."""

    def __init__(self, task: Task, compression: Compression) -> None:
        self._layout = task.layout
        self._lossless = compression is Compression.NONE
        self._codec = codec_for(compression, task.layout.features, task.layout.dtype)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return what arrives of rows (rows, features) at the other side."""
        if self._lossless:
            return rows
        arrived = torch.empty(rows.shape, dtype=self._layout.dtype)
        buffer = self._codec.destination(arrived)
        buffer[:] = self._codec.encode(rows).cast("B")
        self._codec.decode(buffer, arrived)
        return arrived


_EPOCH = 0
"""Whose local order and augmentation are used; trainings count from 1."""


class Recalibration:
    """Scores the model as if its last steps had been global batches.

    The batches are drawn from the clients' training data and only looked at: parameters, statistics and
    random states of the training stay as they are.
    """

    def __init__(
        self,
        task: Task,
        model: ServerModel,
        datasets: Mapping[str, LocalDataset],
        batch_size: int,
        batches: int,
    ) -> None:
        """Take client -> training samples, and over how many global batches statistics are estimated."""
        self._task = task
        self._model = model
        self._datasets = list(datasets.values())
        self._batch_size = batch_size
        self._batches = batches

    def statistics(self, step: int) -> list[Tensor] | None:
        """Estimate the statistics after ``step``; None where none are wanted, or there is no BatchNorm."""
        return self._model.batch_norm_statistics(self._smashed(step)) if self._batches else None

    def score(self, statistics: list[Tensor] | None, score: Callable[[], Score]) -> Score:
        """Call ``score`` while the model has these statistics; without them, nothing is scored."""
        if statistics is None:
            return Score()
        with self._model.using_statistics(statistics):
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
        return self._model.smash(torch.cat(inputs))


class Evaluator:
    """Scores the model on the server's evaluation data or on the clients'; training is not touched."""

    def __init__(  # noqa: PLR0913, PLR0917 - what is measured, on what, and how
        self,
        task: Task,
        model: ServerModel,
        held: Mapping[str, LocalDataset | None],
        servers: LocalDataset | None,
        evaluation_range: int,
        crossing: CodecRoundtrip,
        recalibration: Recalibration,
        threads: Threads,
    ) -> None:
        """Take client -> its evaluation samples, and the server's; the rest is as in `TrainingExecutor`."""
        self._task = task
        self._model = model
        self._held = held
        self._servers = servers
        self._range = evaluation_range
        self._crossing = crossing
        self._recalibration = recalibration
        self._threads = threads
        self._statistics: tuple[Ticket, list[torch.Tensor] | None] | None = None
        self._answers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._scores: dict[str, Score] = {}
        self._recalibrated = Score()

    def perform(self, effect: do.Effect) -> EvaluationOutcome | None:
        """Carry out an effect if it is part of an evaluation."""
        match effect:
            case do.OrderEvaluation(_, share):
                self._forward(share)
            case do.ScoreEvaluation(ticket, client):
                self._score(ticket, client)
            case do.DropEvaluation(_, client):
                del self._answers[client]
            case do.EvaluateAtServer(ticket):
                return EvaluationOutcome(*self._at_server(ticket, self._score_servers))
            case do.ConcludeEvaluation():
                return self._conclude()
            case do.AbandonEvaluation():
                self._answers, self._scores, self._recalibrated = {}, {}, Score()
        return None

    def _forward(self, share: do.Share) -> None:
        data = self._held[share.client]
        if data is None:
            raise LookupError(f"client {share.client} has no evaluation data")
        batch = data.in_order(share.offset, share.samples)
        slices = slice_rows(share.samples, self._task.layout.bytes_per_sample)
        smashed = on_cores(
            self._threads.client,
            lambda: [
                self._crossing(self._model.smash(batch.inputs[first : first + rows]))
                for first, rows in slices
            ],
        )
        self._answers[share.client] = torch.cat(smashed), self._task.objective.as_labels(batch.labels)

    def _score(self, ticket: Ticket, client: str) -> None:
        smashed, labels = self._answers.pop(client)
        plain, recalibrated = self._at_server(ticket, lambda: self._model.score(smashed, labels))
        self._scores[client] = self._scores.get(client, Score()) + plain
        self._recalibrated += recalibrated

    def _conclude(self) -> EvaluationOutcome:
        scores, self._scores = dict(sorted(self._scores.items())), {}
        recalibrated, self._recalibrated = self._recalibrated, Score()
        return EvaluationOutcome(sum(scores.values(), Score()), recalibrated, scores)

    def _score_servers(self) -> Score:
        data = self._servers
        if data is None:
            raise LookupError("the server has no evaluation data")
        return score_dataset(self._model, self._task.objective, data, self._range)

    def _at_server(self, ticket: Ticket, score: Callable[[], Score]) -> tuple[Score, Score]:
        """Score as it is and recalibrated, statistics being estimated once for all of an evaluation."""
        cores = self._threads.server
        if self._statistics is None or self._statistics[0] != ticket:
            self._statistics = ticket, on_cores(cores, lambda: self._recalibration.statistics(ticket.step))
        statistics = self._statistics[1]
        plain = on_cores(cores, score)
        return plain, on_cores(cores, lambda: self._recalibration.score(statistics, score))
