"""Carries out evaluations: of the server's own data, or of what the clients hold."""

from functools import partial
from typing import TYPE_CHECKING

from pslgs.coordination import effects as do
from pslgs.coordination import events as told
from pslgs.coordination.answers import AnswerHistory, Phase
from pslgs.data.local import LocalDataset
from pslgs.observability.records import ClientEvaluation, EvaluationRecord
from pslgs.server.intake import Intake
from pslgs.server.stage import Stage
from pslgs.training.evaluation import Score, score_samples
from pslgs.wire.chunks import tensor_frames
from pslgs.wire.codec import tensor_bytes
from pslgs.wire.service import Session
from pslgs.wire.v1 import training_pb2 as wire

if TYPE_CHECKING:
    import asyncio


class EvaluationRunner:
    """Carries out the effects of one evaluation after another.

    What is in memory is what the coordinator has ordered and not yet been told to be scored or dropped.
    """

    def __init__(self, stage: Stage, data: LocalDataset | None, batch_size: int) -> None:
        """Evaluate with what ``stage`` holds.

        Args:
            stage: The server's parts.
            data: The server's own evaluation data; None where it has none.
            batch_size: Samples of ``data`` that are loaded at once.
        """
        self._stage = stage
        self._data = data
        self._batch_size = batch_size
        self._intakes: dict[str, Intake] = {}
        self._answered: dict[str, Intake] = {}
        self._scores: dict[str, Score] = {}
        self._parameters: asyncio.Task[list[bytes]] | None = None
        self._under_way: told.Ticket | None = None
        self._newest: told.Ticket | None = None
        self._history = AnswerHistory()

    def order(self, effect: do.OrderEvaluation) -> None:
        """Take memory for a range of a client's evaluation samples, and ask for its smashed data."""
        if self._under_way != effect.ticket:
            self._begin(effect.ticket)
        stage, client = self._stage, effect.share.client
        self._intakes[client] = Intake(stage, effect.ticket, [effect.share])
        stage.tasks.create_task(self._send_order(effect))

    def accept(self, session: Session, header: wire.Tensor, payload: memoryview) -> told.Event | None:
        """Take in a chunk of a client's answer; return the event if it completed one.

        A chunk that nobody waits for is counted and dropped.

        Raises:
            ProtocolViolation: the chunk is not what comes next.
        """
        ticket, name = told.Ticket(header.step, header.attempt), session.client_id
        intake = self._intakes.get(name)
        client = intake.client(name) if intake is not None and intake.ticket == ticket else None
        if client is None:
            reason = self._history.unexpected(name, Phase.FORWARD, ticket, self._newest)
            self._stage.faults.ignored(name, reason)
            return None
        if not client.accept(header, payload):
            return None
        self._history.completed(name, Phase.FORWARD, ticket)
        self._answered[name] = self._intakes.pop(name)
        return told.EvaluationAnswered(name, ticket)

    def score(self, effect: do.ScoreEvaluation) -> None:
        """Run the server part on the range that a client has answered."""
        intake = self._answered.pop(effect.client)
        self._stage.tasks.create_task(self._score(effect.client, intake))

    def drop(self, effect: do.DropEvaluation) -> None:
        """Free the memory of the range that a lost client was asked for."""
        self._intakes.pop(effect.client, None)
        self._answered.pop(effect.client, None)

    def conclude(self, effect: do.ConcludeEvaluation) -> None:
        """Record what the clients' answers add up to."""
        answered = {name: score for name, score in sorted(self._scores.items()) if name not in effect.missing}
        clients = {
            name: ClientEvaluation(score.samples, score.loss, score.accuracy)
            for name, score in answered.items()
        }
        self._record(effect.ticket, effect.epoch, sum(answered.values(), Score()), clients, effect.missing)
        self.abandon()

    def at_server(self, effect: do.EvaluateAtServer) -> None:
        """Evaluate the server's own data."""
        self._begin(effect.ticket)
        self._stage.tasks.create_task(self._evaluate_at_server(effect))

    def abandon(self, _effect: do.AbandonEvaluation | None = None) -> None:
        """Forget the evaluation under way."""
        self._under_way = self._parameters = None
        self._intakes, self._answered, self._scores = {}, {}, {}

    def _begin(self, ticket: told.Ticket) -> None:
        self.abandon()
        self._under_way = self._newest = ticket

    async def _send_order(self, effect: do.OrderEvaluation) -> None:
        share, ticket = effect.share, effect.ticket
        order = wire.Evaluate(
            step=ticket.step, attempt=ticket.attempt, first=share.offset, samples=share.samples
        )
        frames = await self._parameter_frames(ticket) if share.offset == 0 else []
        if self._under_way != ticket:
            return

        async def send(session: Session) -> None:
            await session.send(wire.Header(evaluate=order))
            for frame in frames:
                await session.send_encoded(frame)

        self._stage.tell(told.RequestsReady(ticket))
        self._stage.request(ticket, share, send)

    async def _parameter_frames(self, ticket: told.Ticket) -> list[bytes]:
        """Read and encode the parameters once for all clients of an evaluation."""
        if self._parameters is None:
            self._parameters = self._stage.tasks.create_task(self._read_parameters(ticket))
        return await self._parameters

    async def _read_parameters(self, ticket: told.Ticket) -> list[bytes]:
        vector = await self._stage.torch.run(self._stage.model.parameters)
        data = tensor_bytes(vector)
        return list(tensor_frames(wire.Tensor.PARAMETERS, ticket.step, ticket.attempt, 0, 0, data))

    async def _score(self, client: str, intake: Intake) -> None:
        ticket = intake.ticket
        score = await self._stage.torch.run(self._decode_and_score, intake)
        del intake
        if self._under_way == ticket:
            self._scores[client] = self._scores.get(client, Score()) + score
            self._stage.tell(told.EvaluationScored(client, ticket))

    def _decode_and_score(self, intake: Intake) -> Score:
        intake.decode()
        return self._stage.model.score(intake.smashed, intake.labels)

    async def _evaluate_at_server(self, effect: do.EvaluateAtServer) -> None:
        if self._data is None:
            raise LookupError("the server has no evaluation data")
        stage, total = self._stage, Score()
        for first in range(0, self._data.samples, self._batch_size):
            count = min(self._batch_size, self._data.samples - first)
            score = partial(score_samples, stage.model, stage.task.objective, self._data, first, count)
            total = total + await stage.torch.run(score)
            if self._under_way != effect.ticket:
                return
        self._record(effect.ticket, effect.epoch, total, {}, ())
        self.abandon()
        self._stage.tell(told.ServerEvaluationDone(effect.ticket))

    def _record(
        self,
        ticket: told.Ticket,
        epoch: int,
        total: Score,
        clients: dict[str, ClientEvaluation],
        missing: tuple[str, ...],
    ) -> None:
        scribe = self._stage.scribe
        scribe.write(
            EvaluationRecord(
                scribe.now(), epoch, ticket.step, total.samples, total.loss, total.accuracy, clients, missing
            )
        )
