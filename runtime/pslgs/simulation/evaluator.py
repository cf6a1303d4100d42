"""Evaluations of a simulation: scores at the server or per client, and with recalibrated statistics."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.coordination import messages
from pslgs.coordination.messages import ExchangeId
from pslgs.data.client_dataset import ClientDataset
from pslgs.model_inputs import joined, rows_of
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.schedule import LocalBatches, draw_global_schedule
from pslgs.simulation.outcomes import EvaluationOutcome
from pslgs.simulation.setup import Threads, on_cores
from pslgs.spec.deployment import Compression
from pslgs.training.evaluation import Score, score_dataset
from pslgs.training.server_model import ServerModel
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import slice_rows
from pslgs.transport.codec import codec_for


class CodecRoundtrip:
    """Encodes and decodes tensors, with the same rounding as on their way between client and server."""

    def __init__(self, task: TrainingSetup, compression: Compression) -> None:
        self._layout = task.layout
        self._lossless = compression is Compression.NONE
        self._codec = codec_for(compression, task.layout.features, task.layout.dtype)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return ``rows`` as they are received; shape (rows, features)."""
        if self._lossless:
            return rows
        arrived = torch.empty(rows.shape, dtype=self._layout.dtype)
        buffer = self._codec.destination(arrived)
        buffer[:] = self._codec.encode(rows).cast("B")
        self._codec.decode(buffer, arrived)
        return arrived.to(rows.device)


_EPOCH = 0
"""Epoch whose local order and augmentation are used; trainings count from 1."""


class Recalibration:
    """Scores the model with BatchNorm statistics estimated over global batches of the training data.

    Parameters, statistics and random states of the training are not changed.
    """

    def __init__(
        self,
        task: TrainingSetup,
        model: ServerModel,
        datasets: Mapping[str, ClientDataset],
        batch_size: int,
        batches: int,
    ) -> None:
        """Create it for client -> training samples, and the number of global batches of an estimate."""
        self._task = task
        self._model = model
        self._datasets = list(datasets.values())
        self._batch_size = batch_size
        self._batches = batches

    def statistics(self, step: int) -> list[Tensor] | None:
        """Estimate the statistics after ``step``; None if none are wanted or there is no BatchNorm."""
        return self._model.batch_norm_statistics(self._smashed(step)) if self._batches else None

    def score(self, statistics: list[Tensor] | None, score: Callable[[], Score]) -> Score:
        """Call ``score`` while the model has these statistics; return an empty score without them."""
        if statistics is None:
            return Score()
        with self._model.using_statistics(statistics):
            return score()

    def _smashed(self, step: int) -> Iterator[Tensor]:
        """Yield the smashed data of the first global batches of an epoch."""
        sizes = np.array([data.samples for data in self._datasets])
        rng = generator(self._task.seed, Purpose.RECALIBRATION, step)
        schedule = draw_global_schedule(sizes, self._batch_size, rng)
        used = np.zeros_like(sizes)
        for number in range(min(self._batches, len(schedule))):
            batch = schedule.local_batches(number)
            yield self._forward(batch, used[batch.clients])
            used[batch.clients] += batch.sizes

    def _forward(self, batch: LocalBatches, offsets: NDArray[np.int64]) -> Tensor:
        local_batches = zip(batch.clients.tolist(), offsets.tolist(), batch.sizes.tolist(), strict=True)
        inputs = [
            self._datasets[client].batch(_EPOCH, offset, size).inputs
            for client, offset, size in local_batches
        ]
        return self._model.smash(joined(inputs))


class Evaluator:
    """Scores the model on the evaluation data of the server or of the clients, without changing it."""

    def __init__(  # noqa: PLR0913, PLR0917 - what is measured, on what, and how
        self,
        task: TrainingSetup,
        model: ServerModel,
        held: Mapping[str, ClientDataset | None],
        servers: ClientDataset | None,
        evaluation_range: int,
        roundtrip: CodecRoundtrip,
        recalibration: Recalibration,
        threads: Threads,
    ) -> None:
        """Create it for client -> its evaluation samples, and the server's; see `TrainingExecutor`."""
        self._task = task
        self._model = model
        self._held = held
        self._servers = servers
        self._range = evaluation_range
        self._roundtrip = roundtrip
        self._recalibration = recalibration
        self._threads = threads
        self._statistics: tuple[ExchangeId, list[torch.Tensor] | None] | None = None
        self._answers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._scores: dict[str, Score] = {}
        self._recalibrated = Score()

    def perform(self, effect: messages.Effect) -> EvaluationOutcome | None:
        """Carry out an effect if it is part of an evaluation."""
        match effect:
            case messages.OrderEvaluation(_, local_batch):
                self._forward(local_batch)
            case messages.ScoreEvaluation(exchange, client):
                self._score(exchange, client)
            case messages.DropEvaluation(_, client):
                del self._answers[client]
            case messages.EvaluateAtServer(exchange):
                return EvaluationOutcome(*self._at_server(exchange, self._score_servers))
            case messages.ConcludeEvaluation():
                return self._conclude()
            case messages.AbandonEvaluation():
                self._answers, self._scores, self._recalibrated = {}, {}, Score()
        return None

    def _forward(self, local_batch: messages.LocalBatch) -> None:
        data = self._held[local_batch.client]
        if data is None:
            raise LookupError(f"client {local_batch.client} has no evaluation data")
        batch = data.in_order(local_batch.offset, local_batch.samples)
        slices = slice_rows(local_batch.samples, self._task.layout.bytes_per_sample)
        smashed = on_cores(
            self._threads.client,
            lambda: [
                self._roundtrip(self._model.smash(rows_of(batch.inputs, first, rows)))
                for first, rows in slices
            ],
        )
        self._answers[local_batch.client] = torch.cat(smashed), self._task.objective.as_labels(batch.labels)

    def _score(self, exchange: ExchangeId, client: str) -> None:
        smashed, labels = self._answers.pop(client)
        plain, recalibrated = self._at_server(exchange, lambda: self._model.score(smashed, labels))
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

    def _at_server(self, exchange: ExchangeId, score: Callable[[], Score]) -> tuple[Score, Score]:
        """Score the model as it is and recalibrated; statistics are estimated once per evaluation."""
        cores = self._threads.server
        if self._statistics is None or self._statistics[0] != exchange:
            self._statistics = (
                exchange,
                on_cores(cores, lambda: self._recalibration.statistics(exchange.step)),
            )
        statistics = self._statistics[1]
        plain = on_cores(cores, score)
        return plain, on_cores(cores, lambda: self._recalibration.score(statistics, score))
