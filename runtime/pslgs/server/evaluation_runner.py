"""Executes evaluations on the server's data or with the clients."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pslgs.coordination import messages
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.replies import Pass, ReplyHistory
from pslgs.data.client_dataset import ClientDataset
from pslgs.data.label_space import unnamed_training_classes
from pslgs.server.context import ServerContext
from pslgs.server.receive_buffers import StepBuffers
from pslgs.spec.metrics import Metric
from pslgs.telemetry.evaluations import evaluation_record
from pslgs.telemetry.records import EvaluationRecord
from pslgs.training.evaluation import Score, score_samples
from pslgs.training.numeric_check import CheckedSteps
from pslgs.transport.codec import tensor_bytes
from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import EncodedFrame, control_frame, tensor_frames
from pslgs.transport.v1 import training_pb2 as wire

if TYPE_CHECKING:
    import asyncio


class EvaluationRunner:
    """Executes the effects of one evaluation after another.

    In memory are the ranges that were ordered and that are not yet scored or dropped.
    """

    def __init__(
        self,
        context: ServerContext,
        data: ClientDataset | None,
        batch_size: int,
        metric: str = Metric.LOSS,
        class_names: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Make a runner.

        Args:
            context: The server's parts.
            data: The server's own evaluation data; None where it has none.
            batch_size: Number of samples of ``data`` that are loaded at once.
            metric: Metric by which models are compared.
            class_names: Returns the names of the classes, as far as they are known.
        """
        self._context = context
        self._data = data
        self._batch_size = batch_size
        self._metric = metric
        self._class_names = class_names
        self._receiving: dict[str, StepBuffers] = {}
        self._received: dict[str, StepBuffers] = {}
        self._scores: dict[str, Score] = {}
        self._parameters: asyncio.Task[list[EncodedFrame]] | None = None
        self._exchange: messages.ExchangeId | None = None
        self._replies = ReplyHistory()

    def order_range(self, effect: messages.OrderEvaluation) -> None:
        """Allocate memory for a range of a client's evaluation samples, and request its smashed data."""
        if self._exchange != effect.exchange:
            self._begin(effect.exchange)
        context, client = self._context, effect.local_batch.client
        self._replies.ask(client, effect.exchange)
        self._receiving[client] = StepBuffers(context, effect.exchange, [effect.local_batch])
        context.tasks.create_task(self._send_order(effect))

    def receive(self, session: Session, header: wire.Tensor, payload: memoryview) -> messages.Event | None:
        """Receive a chunk of a client's answer; return an event if the answer is complete.

        A late chunk is counted and dropped.

        Raises:
            ProtocolViolation: the chunk is out of order, replayed or unasked, or one of too many late ones.
        """
        exchange, name = messages.ExchangeId(header.step, header.attempt), session.client_id
        buffers = self._receiving.get(name)
        client = buffers.client(name) if buffers is not None and buffers.exchange == exchange else None
        if client is None:
            reason = self._replies.classify(name, Pass.FORWARD, exchange)
            self._context.faults.unexpected(name, reason, exchange)
            return None
        if not client.receive(header, payload):
            return None
        self._replies.complete(name, Pass.FORWARD, exchange)
        self._received[name] = self._receiving.pop(name)
        return messages.EvaluationAnswered(name, exchange)

    def score_range(self, effect: messages.ScoreEvaluation) -> None:
        """Run the server part on the range that a client has sent."""
        buffers = self._received.pop(effect.client)
        self._context.tasks.create_task(self._score(effect.client, buffers))

    def drop_range(self, effect: messages.DropEvaluation) -> None:
        """Free the memory of the range that was requested of a lost client."""
        self._receiving.pop(effect.client, None)
        self._received.pop(effect.client, None)

    def conclude(self, effect: messages.ConcludeEvaluation) -> None:
        """Record the evaluation over all scored ranges."""
        self._context.tasks.create_task(self._conclude(effect))

    def evaluate_at_server(self, effect: messages.EvaluateAtServer) -> None:
        """Evaluate the server's own data."""
        self._begin(effect.exchange)
        self._context.tasks.create_task(self._evaluate_at_server(effect))

    def abandon(self, _effect: messages.AbandonEvaluation | None = None) -> None:
        """Drop the evaluation in progress."""
        self._exchange = self._parameters = None
        self._receiving, self._received, self._scores = {}, {}, {}

    def _begin(self, exchange: messages.ExchangeId) -> None:
        self.abandon()
        self._exchange = exchange

    async def _send_order(self, effect: messages.OrderEvaluation) -> None:
        local_batch, exchange = effect.local_batch, effect.exchange
        order = wire.Evaluate(
            step=exchange.step,
            attempt=exchange.attempt,
            first=local_batch.offset,
            samples=local_batch.samples,
        )
        frames = await self._parameter_frames(exchange) if local_batch.offset == 0 else []
        if self._exchange != exchange:
            return
        self._context.post(messages.RequestsReady(exchange))
        self._context.request(exchange, local_batch, [control_frame(wire.Header(evaluate=order)), *frames])

    async def _parameter_frames(self, exchange: messages.ExchangeId) -> list[EncodedFrame]:
        """Read and encode the parameters once for all clients of an evaluation."""
        if self._parameters is None:
            self._parameters = self._context.tasks.create_task(self._read_parameters(exchange))
        return await self._parameters

    async def _read_parameters(self, exchange: messages.ExchangeId) -> list[EncodedFrame]:
        vector = await self._context.torch.run(self._context.model.evaluated_parameters)
        data = tensor_bytes(vector)
        return list(tensor_frames(wire.Tensor.PARAMETERS, exchange.step, exchange.attempt, 0, 0, data))

    async def _score(self, client: str, buffers: StepBuffers) -> None:
        exchange = buffers.exchange
        score = await self._context.torch.run(self._decode_and_score, buffers)
        del buffers
        if self._exchange != exchange:
            return
        if isinstance(score, NumericFault):
            self._context.post(messages.NumericFaultFound(exchange, score))
        else:
            self._scores[client] = self._scores.get(client, Score()) + score
            self._context.post(messages.EvaluationScored(client, exchange))

    def _decode_and_score(self, buffers: StepBuffers) -> Score | NumericFault:
        buffers.decode()
        fault = CheckedSteps(self._context.model).check(*buffers.rows())
        if fault and fault.clients:
            return fault  # A fault of the model itself shows in the figures.
        return self._context.model.score(buffers.smashed, buffers.labels)

    async def _evaluate_at_server(self, effect: messages.EvaluateAtServer) -> None:
        if self._data is None:
            raise LookupError("the server has no evaluation data")
        if self._data.needs_names:
            raise unnamed_training_classes()
        self._context.features.fix()
        context, total = self._context, Score()
        for first in range(0, self._data.samples, self._batch_size):
            count = min(self._batch_size, self._data.samples - first)
            score = partial(score_samples, context.model, context.task.objective, self._data, first, count)
            total = total + await context.torch.run(score)
            if self._exchange != effect.exchange:
                return
        record = await self._write_record(effect.exchange, effect.epoch, total, {}, ())
        if record is not None:
            self._context.post(messages.ServerEvaluationDone(effect.exchange, record.value))

    async def _conclude(self, effect: messages.ConcludeEvaluation) -> None:
        answered = {name: score for name, score in sorted(self._scores.items()) if name not in effect.missing}
        total = sum(answered.values(), Score())
        record = await self._write_record(effect.exchange, effect.epoch, total, answered, effect.missing)
        if record is not None:
            self._context.post(messages.EvaluationConcluded(effect.exchange, record.value))

    async def _write_record(
        self,
        exchange: messages.ExchangeId,
        epoch: int,
        total: Score,
        clients: Mapping[str, Score],
        missing: tuple[str, ...],
    ) -> EvaluationRecord | None:
        """Compute the metrics in the torch thread, and record them; None if the evaluation was abandoned."""
        context = self._context
        make = partial(
            evaluation_record,
            time=context.recorder.now(),
            epoch=epoch,
            step=exchange.step,
            total=total,
            clients=clients,
            missing=missing,
            metric=self._metric,
            class_names=self._class_names(),
        )
        record = await context.torch.run(make)
        if self._exchange != exchange:
            return None
        context.torch.submit(context.model.observe_evaluation, total)
        context.recorder.write(record)
        self.abandon()
        return record
