"""Carries out evaluations: of the server's own data, or of what the clients hold."""

from functools import partial

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


class EvaluationRunner:
    """Carries out the effects of one evaluation after another."""

    def __init__(self, stage: Stage, data: LocalDataset | None, batch_size: int) -> None:
        """Take the server's own evaluation data, None where it has none, and how much is loaded at once."""
        self._stage = stage
        self._data = data
        self._batch_size = batch_size
        self._intakes: dict[str, Intake] = {}
        self._scores: dict[str, Score] = {}
        self._parameters: tuple[told.Ticket, list[bytes]] | None = None
        self._under_way: told.Ticket | None = None
        self._newest: told.Ticket | None = None
        self._history = AnswerHistory()

    def order(self, effect: do.OrderEvaluation) -> None:
        """Ask a client for the smashed data of a range of its evaluation samples."""
        if self._under_way != effect.ticket:
            self._begin(effect.ticket)
        stage, client = self._stage, effect.share.client
        self._intakes[client] = Intake(stage, effect.ticket, [effect.share])
        stage.tasks.create_task(self._send_order(effect))

    def accept(self, session: Session, header: wire.Tensor, payload: memoryview) -> None:
        """Take in a chunk of a client's answer; one that nobody waits for is counted and dropped.

        Raises:
            ProtocolViolation: the chunk is not what comes next.
        """
        ticket, name = told.Ticket(header.step, header.attempt), session.client_id
        intake = self._intakes.get(name)
        client = intake.client(name) if intake is not None and intake.ticket == ticket else None
        if intake is None or client is None:
            reason = self._history.unexpected(name, Phase.FORWARD, ticket, self._newest)
            self._stage.faults.ignored(name, reason)
        elif client.accept(header, payload):
            self._history.completed(name, Phase.FORWARD, ticket)
            del self._intakes[name]
            self._stage.tasks.create_task(self._score(name, intake))

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
        self._under_way = None
        self._intakes, self._scores = {}, {}

    def _begin(self, ticket: told.Ticket) -> None:
        self.abandon()
        self._under_way = self._newest = ticket

    async def _send_order(self, effect: do.OrderEvaluation) -> None:
        share, ticket = effect.share, effect.ticket
        order = wire.Evaluate(
            step=ticket.step, attempt=ticket.attempt, first=share.offset, samples=share.samples
        )
        frames = await self._parameter_frames(ticket) if share.offset == 0 else []

        async def send(session: Session) -> None:
            await session.send(wire.Header(evaluate=order))
            for frame in frames:
                await session.send_encoded(frame)

        self._stage.switchboard.send(share.session, send)

    async def _parameter_frames(self, ticket: told.Ticket) -> list[bytes]:
        """Encode the parameters once for all clients of an evaluation."""
        vector = await self._stage.torch.run(self._stage.model.parameters)
        if self._parameters is None or self._parameters[0] != ticket:
            data = tensor_bytes(vector)
            frames = tensor_frames(wire.Tensor.PARAMETERS, ticket.step, ticket.attempt, 0, 0, data)
            self._parameters = ticket, list(frames)
        return self._parameters[1]

    async def _score(self, client: str, intake: Intake) -> None:
        score = await self._stage.torch.run(self._decode_and_score, intake)
        if self._under_way == intake.ticket:
            self._scores[client] = self._scores.get(client, Score()) + score
            self._stage.tell(told.EvaluationAnswered(client, intake.ticket))

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
