"""Carries out a job's evaluations with tensors."""

from collections.abc import Callable, Mapping

import torch

from pslgs.coordination import effects as do
from pslgs.coordination.events import Ticket
from pslgs.data.local import LocalDataset
from pslgs.simulation.crossing import Crossing
from pslgs.simulation.outcomes import EvaluationOutcome
from pslgs.simulation.recalibration import Recalibration
from pslgs.simulation.threads import Threads, on_cores
from pslgs.training.client_step import ClientStep
from pslgs.training.evaluation import Score, score_samples, score_smashed
from pslgs.training.slices import slice_rows
from pslgs.training.task import Task


class Measuring:
    """Scores the model on the server's evaluation data or on the clients'; training is not touched."""

    def __init__(  # noqa: PLR0913, PLR0917 - what is measured, on what, and how
        self,
        task: Task,
        held: Mapping[str, LocalDataset | None],
        servers: LocalDataset | None,
        evaluation_range: int,
        crossing: Crossing,
        recalibration: Recalibration,
        threads: Threads,
    ) -> None:
        """Take client -> its evaluation samples, and the server's; the rest is as in `Learning`."""
        self._task = task
        self._held = held
        self._servers = servers
        self._range = evaluation_range
        self._crossing = crossing
        self._recalibration = recalibration
        self._threads = threads
        self._statistics: tuple[Ticket, list[torch.Tensor] | None] | None = None
        self._scores: dict[str, Score] = {}
        self._recalibrated = Score()

    def perform(self, effect: do.Effect) -> EvaluationOutcome | None:
        """Carry out an effect if it is part of an evaluation."""
        match effect:
            case do.OrderEvaluation(ticket, share):
                self._measure_client(ticket, share)
            case do.EvaluateAtServer(ticket):
                return EvaluationOutcome(*self._at_server(ticket, self._score_servers))
            case do.ConcludeEvaluation():
                return self._conclude()
            case do.AbandonEvaluation():
                self._scores, self._recalibrated = {}, Score()
        return None

    def _measure_client(self, ticket: Ticket, share: do.Share) -> None:
        data = self._held[share.client]
        if data is None:
            raise LookupError(f"client {share.client} has no evaluation data")
        batch = data.in_order(share.offset, share.samples)
        step = ClientStep(self._task, share.client)
        slices = slice_rows(share.samples, self._task.layout.bytes_per_sample)
        smashed = on_cores(
            self._threads.client,
            lambda: [self._crossing(step.evaluate(batch.inputs[first : first + n])) for first, n in slices],
        )
        labels = self._task.objective.as_labels(batch.labels)

        def score() -> Score:
            return score_smashed(self._task, torch.cat(smashed), labels)

        plain, recalibrated = self._at_server(ticket, score)
        self._scores[share.client] = self._scores.get(share.client, Score()) + plain
        self._recalibrated += recalibrated

    def _conclude(self) -> EvaluationOutcome:
        scores, self._scores = dict(sorted(self._scores.items())), {}
        recalibrated, self._recalibrated = self._recalibrated, Score()
        return EvaluationOutcome(sum(scores.values(), Score()), recalibrated, scores)

    def _score_servers(self) -> Score:
        data = self._servers
        if data is None:
            raise LookupError("the server has no evaluation data")
        firsts = range(0, data.samples, self._range)
        scores = (
            score_samples(self._task, data, first, min(self._range, data.samples - first)) for first in firsts
        )
        return sum(scores, Score())

    def _at_server(self, ticket: Ticket, score: Callable[[], Score]) -> tuple[Score, Score]:
        """Score as it is and recalibrated, statistics being estimated once for all of an evaluation."""
        cores = self._threads.server
        if self._statistics is None or self._statistics[0] != ticket:
            self._statistics = ticket, on_cores(cores, lambda: self._recalibration.statistics(ticket.step))
        statistics = self._statistics[1]
        plain = on_cores(cores, score)
        return plain, on_cores(cores, lambda: self._recalibration.score(statistics, score))
