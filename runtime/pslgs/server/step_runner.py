"""Executes steps: orders, server step, cut gradients and update; and times their phases."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from pslgs.coordination import messages
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.replies import Pass, ReplyHistory
from pslgs.sampling.deviation import BatchQuality
from pslgs.server.context import ServerContext
from pslgs.server.receive_buffers import StepBuffers, rows_of
from pslgs.telemetry.records import AbortRecord, StepRecord, step_record
from pslgs.training.numeric_check import CheckedSteps
from pslgs.training.tensors import slice_rows
from pslgs.transport.codec import tensor_bytes
from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import EncodedFrame, control_frame, tensor_frames
from pslgs.transport.v1 import training_pb2 as wire

REQUESTS_A_TURN = 16
"""Requests that are sent in one turn of the event loop, in which all of them are encoded and encrypted."""


class StepTimer:
    """Measures the phases of an attempt, and the response times of the clients.

    Attributes:
        seconds: Phase -> duration in seconds, of the phases that have ended.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._since = clock()
        self._answers: dict[str, list[float]] = {}

    def end_phase(self, phase: str) -> None:
        """Record that ``phase`` has ended and the next one begins."""
        now = self._clock()
        self.seconds[phase] = now - self._since
        self._since = now

    def record_reply(self, client: str) -> None:
        """Record that a client's reply in the present phase is complete."""
        self._answers.setdefault(client, []).append(self._clock() - self._since)

    def response_seconds(self) -> dict[str, tuple[float, float]]:
        """Return client -> seconds until its smashed data and until its gradient were complete."""
        return {client: (times[0], times[1]) for client, times in self._answers.items() if len(times) == 2}


class _Computed(NamedTuple):
    """What the server part gives: the mean loss, and the encoded cut gradient of the global batch."""

    loss: float
    cut_gradient: memoryview


@dataclass(slots=True, eq=False)
class _Attempt:
    """State of the attempt in progress."""

    buffers: StepBuffers
    timer: StepTimer
    result: _Computed | None = None
    abandoned: bool = False


class _Updated(NamedTuple):
    """What an applied update gives: the rate it used, the new client part, the quality of its batch."""

    learning_rate: float
    parameters: Tensor
    quality: BatchQuality


class StepRunner:
    """Executes the effects of one attempt after another."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._attempt: _Attempt | None = None
        self._replies = ReplyHistory()
        self._parameters: Tensor | None = None
        self._checked = CheckedSteps(context.model)
        self._begun = False

    def order_forward(self, orders: list[messages.OrderForward]) -> None:
        """Begin an attempt: send every active client its order and the client part's parameters."""
        exchange = orders[0].exchange
        buffers = StepBuffers(self._context, exchange, [order.local_batch for order in orders])
        self._attempt = _Attempt(buffers, StepTimer(self._context.clock))
        for order in orders:
            self._replies.ask(order.local_batch.client, exchange)
        self._context.tasks.create_task(self._send_orders(self._attempt, orders))

    def receive(self, session: Session, header: wire.Tensor, payload: memoryview) -> messages.Event | None:
        """Receive a chunk of a client's answer; return an event if the answer is complete.

        A late chunk is counted and dropped.

        Raises:
            ProtocolViolation: the chunk is out of order, replayed or unasked, or one of too many late ones.
        """
        attempt, exchange = self._attempt, messages.ExchangeId(header.step, header.attempt)
        of = Pass.BACKWARD if header.kind == wire.Tensor.CLIENT_GRADIENT else Pass.FORWARD
        client = (
            attempt.buffers.client(session.client_id)
            if attempt and attempt.buffers.exchange == exchange
            else None
        )
        if attempt is None or client is None:
            reason = self._replies.classify(session.client_id, of, exchange)
            self._context.faults.unexpected(session.client_id, reason, exchange)
            return None
        if not client.receive(header, payload):
            return None
        self._replies.complete(session.client_id, of, exchange)
        attempt.timer.record_reply(session.client_id)
        if header.kind == wire.Tensor.CLIENT_GRADIENT:
            return messages.ClientGradientReceived(session.client_id, exchange)
        return messages.SmashedDataReceived(session.client_id, exchange)

    def run_server_step(self, effect: messages.RunServerStep) -> None:
        """Run the server part."""
        attempt = self._current(effect.exchange)
        attempt.timer.end_phase("forward_wait")
        self._context.tasks.create_task(self._run_server_step(attempt, effect.exchange))

    def send_cut_gradients(self, effect: messages.SendCutGradients) -> None:
        """Send every active client its rows of the cut gradient."""
        attempt = self._current(effect.exchange)
        attempt.timer.end_phase("server")
        attempt.buffers.expect_gradients()
        if attempt.result is None:
            raise LookupError("the server part has not run")
        requests = self._gradient_requests(effect, attempt.result.cut_gradient)
        self._context.tasks.create_task(self._request(attempt, requests))

    def apply_update(self, effect: messages.ApplyUpdate) -> None:
        """Apply the optimizer step."""
        attempt = self._current(effect.exchange)
        attempt.timer.end_phase("backward_wait")
        self._context.tasks.create_task(self._apply_update(attempt, effect))

    def abandon(self, effect: messages.AbandonAttempt) -> None:
        """Drop an attempt, here and at its clients."""
        if self._attempt is not None and self._attempt.buffers.exchange == effect.exchange:
            self._attempt.abandoned = True
            self._attempt = None
            self._context.tasks.create_task(self._context.torch.run(self._context.model.abandon))
        abort = wire.Abort(step=effect.exchange.step, attempt=effect.exchange.attempt)
        frame = control_frame(wire.Header(abort=abort))
        for local_batch in effect.local_batches:
            self._context.connections.interrupt(local_batch.session)
            self._context.connections.send(local_batch.session, [frame])
        recorder = self._context.recorder
        recorder.write(
            AbortRecord(
                recorder.now(),
                effect.epoch,
                effect.exchange.step,
                effect.exchange.attempt,
                effect.reason,
                effect.kind,
            )
        )

    async def _send_orders(self, attempt: _Attempt, orders: list[messages.OrderForward]) -> None:
        if self._parameters is None:  # when the process begins; later ones come with each update
            self._parameters = await self._context.torch.run(self._context.model.parameters)
        exchange, data = attempt.buffers.exchange, tensor_bytes(self._parameters)
        parameters = list(tensor_frames(wire.Tensor.PARAMETERS, exchange.step, exchange.attempt, 0, 0, data))
        requests = ((order.local_batch, _order_frames(order, parameters)) for order in orders)
        await self._request(attempt, requests)

    async def _request(
        self, attempt: _Attempt, requests: Iterable[tuple[messages.LocalBatch, Iterator[EncodedFrame]]]
    ) -> None:
        """Send requests to clients, some in each turn of the event loop, until the attempt is abandoned."""
        exchange = attempt.buffers.exchange
        if not attempt.abandoned:
            self._context.post(messages.RequestsReady(exchange))
        for number, (local_batch, frames) in enumerate(requests, start=1):
            if attempt.abandoned:
                return
            self._context.request(exchange, local_batch, frames)
            if number % REQUESTS_A_TURN == 0:
                await asyncio.sleep(0)

    async def _run_server_step(self, attempt: _Attempt, exchange: messages.ExchangeId) -> None:
        match await self._context.torch.compute(self._compute, attempt, exchange):
            case _Computed() as result:
                attempt.result = result
                self._context.post(messages.ServerStepDone(exchange))
            case NumericFault() as fault:
                self._context.post(messages.NumericFaultFound(exchange, fault))

    def _compute(self, attempt: _Attempt, exchange: messages.ExchangeId) -> _Computed | NumericFault | None:
        """In the torch thread; an attempt that was abandoned while it waited for the thread is not run."""
        if attempt.abandoned:
            return None
        buffers = attempt.buffers
        buffers.decode()
        if not self._begun:
            self._context.model.begin(self._context.label_statistics.pooled())
            self._begun = True
        result = self._checked.run(*buffers.rows(), (buffers.smashed, buffers.labels), exchange.step)
        if isinstance(result, NumericFault):
            return result
        return _Computed(result.loss, self._context.encoding.encode(result.cut_gradient))

    async def _apply_update(self, attempt: _Attempt, effect: messages.ApplyUpdate) -> None:
        updated = await self._context.torch.compute(self._update, attempt.buffers, effect)
        if isinstance(updated, NumericFault):
            self._context.post(messages.NumericFaultFound(effect.exchange, updated))
            return
        self._parameters = updated.parameters
        attempt.timer.end_phase("update")
        self._context.recorder.write(self._record(attempt, effect, updated))
        self._attempt = None
        self._context.post(messages.UpdateDone(effect.exchange))

    def _update(self, buffers: StepBuffers, effect: messages.ApplyUpdate) -> _Updated | NumericFault:
        """In the torch thread: apply the update, and compute what the record and the next step need."""
        rate = self._checked.apply(buffers.gradients(), effect.epoch, effect.exchange.step, effect.position)
        if isinstance(rate, NumericFault):
            return rate
        classes = self._context.task.objective.class_numbers(buffers.labels).numpy()
        quality = self._context.label_statistics.quality(classes)
        return _Updated(rate, self._context.model.parameters(), quality)

    def _record(self, attempt: _Attempt, effect: messages.ApplyUpdate, updated: _Updated) -> StepRecord:
        return step_record(
            effect,
            time=self._context.recorder.now(),
            loss=attempt.result.loss if attempt.result else float("nan"),
            learning_rate=updated.learning_rate,
            quality=updated.quality,
            seconds=attempt.timer.seconds,
            response_seconds=attempt.timer.response_seconds(),
        )

    def _gradient_requests(
        self, effect: messages.SendCutGradients, encoded: memoryview
    ) -> Iterator[tuple[messages.LocalBatch, Iterator[EncodedFrame]]]:
        """Yield each client's rows of the cut gradient of the global batch."""
        first, total = 0, sum(local_batch.samples for local_batch in effect.local_batches)
        for local_batch in effect.local_batches:
            rows = rows_of(encoded, first, local_batch.samples, total)
            yield local_batch, self._gradient_frames(effect.exchange, local_batch.samples, rows)
            first += local_batch.samples

    def _gradient_frames(
        self, exchange: messages.ExchangeId, samples: int, encoded: memoryview
    ) -> Iterator[EncodedFrame]:
        """Yield the frames of a client's rows of the cut gradient, slice by slice."""
        for first, count in slice_rows(samples, self._context.task.layout.bytes_per_sample):
            rows = rows_of(encoded, first, count, samples)
            kind = wire.Tensor.CUT_GRADIENT
            yield from tensor_frames(kind, exchange.step, exchange.attempt, first, count, rows)

    def _current(self, exchange: messages.ExchangeId) -> _Attempt:
        if self._attempt is None or self._attempt.buffers.exchange != exchange:
            raise LookupError(f"attempt {exchange} is not in progress")
        return self._attempt


def _order_frames(order: messages.OrderForward, parameters: Iterable[EncodedFrame]) -> Iterator[EncodedFrame]:
    local_batch = order.local_batch
    forward = wire.Forward(
        step=order.exchange.step,
        attempt=order.exchange.attempt,
        epoch=order.epoch,
        offset=local_batch.offset,
        samples=local_batch.samples,
        next_offset=local_batch.offset + local_batch.samples,
        next_samples=order.next_samples,
    )
    yield control_frame(wire.Header(forward=forward))
    yield from parameters
