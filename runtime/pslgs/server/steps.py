"""Carries out a step: orders to the clients, the server part, cut gradients, the update."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pslgs.coordination import effects as do
from pslgs.coordination import events as told
from pslgs.coordination.answers import AnswerHistory, Phase
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.observability.records import AbortRecord, StepRecord, step_record
from pslgs.server.intake import Intake
from pslgs.server.stage import Stage
from pslgs.server.stopwatch import Stopwatch
from pslgs.server.switchboard import Sending
from pslgs.training.numeric_check import CheckedSteps
from pslgs.training.server_model import ServerStepResult
from pslgs.training.slices import slice_rows
from pslgs.wire.chunks import tensor_frames
from pslgs.wire.codec import tensor_bytes
from pslgs.wire.service import Session
from pslgs.wire.v1 import training_pb2 as wire


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt under way, seen by those who carry it out."""

    intake: Intake
    watch: Stopwatch
    result: ServerStepResult | None = None
    abandoned: bool = False


class StepRunner:
    """Carries out the effects of one attempt after another."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._attempt: _Attempt | None = None
        self._newest: told.Ticket | None = None
        self._history = AnswerHistory()
        self._parameters: Tensor | None = None
        self._checked = CheckedSteps(stage.model)

    def order_forward(self, orders: list[do.OrderForward]) -> None:
        """Begin an attempt: send every active client its order and the client part's parameters."""
        ticket = orders[0].ticket
        intake = Intake(self._stage, ticket, [order.share for order in orders])
        self._attempt, self._newest = _Attempt(intake, Stopwatch(self._stage.clock)), ticket
        if self._parameters is None:
            self._stage.tasks.create_task(self._read_parameters(self._attempt, orders))
        else:
            self._send_orders(self._parameters, orders)

    def accept(self, session: Session, header: wire.Tensor, payload: memoryview) -> told.Event | None:
        """Take in a chunk of a client's answer; return the event if it completed one.

        A chunk that nobody waits for is counted and dropped.

        Raises:
            ProtocolViolation: the chunk is not what comes next.
        """
        attempt, ticket = self._attempt, told.Ticket(header.step, header.attempt)
        phase = Phase.BACKWARD if header.kind == wire.Tensor.CLIENT_GRADIENT else Phase.FORWARD
        client = (
            attempt.intake.client(session.client_id) if attempt and attempt.intake.ticket == ticket else None
        )
        if attempt is None or client is None:
            reason = self._history.unexpected(session.client_id, phase, ticket, self._newest)
            self._stage.faults.ignored(session.client_id, reason)
            return None
        if not client.accept(header, payload):
            return None
        self._history.completed(session.client_id, phase, ticket)
        attempt.watch.answered(session.client_id)
        if header.kind == wire.Tensor.CLIENT_GRADIENT:
            return told.ClientGradientReceived(session.client_id, ticket)
        return told.SmashedDataReceived(session.client_id, ticket)

    def run_server_step(self, effect: do.RunServerStep) -> None:
        """Run the server part."""
        attempt = self._current(effect.ticket)
        attempt.watch.lap("forward_wait")
        self._stage.tasks.create_task(self._run_server_step(attempt, effect.ticket))

    def send_cut_gradients(self, effect: do.SendCutGradients) -> None:
        """Send every active client its rows of the cut gradient."""
        attempt = self._current(effect.ticket)
        attempt.watch.lap("server")
        attempt.intake.expect_gradients()
        if attempt.result is None:
            raise LookupError("the server part has not run")
        rows = torch.split(attempt.result.cut_gradient, [share.samples for share in effect.shares])
        self._stage.tell(told.RequestsReady(effect.ticket))
        for share, gradient in zip(effect.shares, rows, strict=True):
            self._stage.request(effect.ticket, share, self._sending_gradient(effect.ticket, gradient))

    def apply_update(self, effect: do.ApplyUpdate) -> None:
        """Apply the optimizer step."""
        attempt = self._current(effect.ticket)
        attempt.watch.lap("backward_wait")
        self._stage.tasks.create_task(self._apply_update(attempt, effect))

    def abandon(self, effect: do.AbandonAttempt) -> None:
        """Forget an attempt, here and at its clients."""
        if self._attempt is not None and self._attempt.intake.ticket == effect.ticket:
            self._attempt.abandoned = True
            self._attempt = None
            self._stage.tasks.create_task(self._stage.torch.run(self._stage.model.abandon))
        header = wire.Header(abort=wire.Abort(step=effect.ticket.step, attempt=effect.ticket.attempt))
        for share in effect.shares:
            self._stage.switchboard.interrupt(share.session)
            self._stage.switchboard.send(share.session, lambda session: session.send(header))
        scribe = self._stage.scribe
        scribe.write(
            AbortRecord(
                scribe.now(),
                effect.epoch,
                effect.ticket.step,
                effect.ticket.attempt,
                effect.reason,
                effect.kind,
            )
        )

    async def _read_parameters(self, attempt: _Attempt, orders: list[do.OrderForward]) -> None:
        """Read the parameters with which the process begins; later ones come with each update."""
        self._parameters = await self._stage.torch.run(self._stage.model.parameters)
        if not attempt.abandoned:
            self._send_orders(self._parameters, orders)

    def _send_orders(self, parameters: Tensor, orders: list[do.OrderForward]) -> None:
        ticket, data = orders[0].ticket, tensor_bytes(parameters)
        frames = list(tensor_frames(wire.Tensor.PARAMETERS, ticket.step, ticket.attempt, 0, 0, data))
        self._stage.tell(told.RequestsReady(ticket))
        for order in orders:
            self._stage.request(ticket, order.share, _sending_order(order, frames))

    async def _run_server_step(self, attempt: _Attempt, ticket: told.Ticket) -> None:
        match await self._stage.torch.run(self._compute, attempt, ticket):
            case ServerStepResult() as result:
                attempt.result = result
                self._stage.tell(told.ServerStepDone(ticket))
            case NumericFault() as fault:
                self._stage.tell(told.NumericFaultFound(ticket, fault))

    def _compute(self, attempt: _Attempt, ticket: told.Ticket) -> ServerStepResult | NumericFault | None:
        """In the torch thread; an attempt that was abandoned while it waited for the thread is not run."""
        if attempt.abandoned:
            return None
        intake = attempt.intake
        intake.decode()
        return self._checked.run(*intake.rows(), (intake.smashed, intake.labels), ticket.step)

    async def _apply_update(self, attempt: _Attempt, effect: do.ApplyUpdate) -> None:
        updated = await self._stage.torch.run(self._update, attempt.intake.gradients(), effect)
        if isinstance(updated, NumericFault):
            self._stage.tell(told.NumericFaultFound(effect.ticket, updated))
            return
        rate, self._parameters = updated
        attempt.watch.lap("update")
        self._stage.scribe.write(self._record(attempt, effect, rate))
        self._attempt = None
        self._stage.tell(told.UpdateDone(effect.ticket))

    def _update(
        self, gradients: dict[str, Tensor], effect: do.ApplyUpdate
    ) -> tuple[float, Tensor] | NumericFault:
        """In the torch thread: apply the update, and read the parameters that the next step needs."""
        rate = self._checked.apply(gradients, effect.epoch, effect.ticket.step)
        return rate if isinstance(rate, NumericFault) else (rate, self._stage.model.parameters())

    def _record(self, attempt: _Attempt, effect: do.ApplyUpdate, rate: float) -> StepRecord:
        classes = self._stage.task.objective.class_numbers(attempt.intake.labels).numpy()
        return step_record(
            effect,
            time=self._stage.scribe.now(),
            loss=attempt.result.loss if attempt.result else float("nan"),
            learning_rate=rate,
            quality=self._stage.population.quality(classes),
            seconds=attempt.watch.seconds,
            response_seconds=attempt.watch.response_seconds(),
        )

    def _sending_gradient(self, ticket: told.Ticket, gradient: Tensor) -> Sending:
        stage = self._stage

        async def send(session: Session) -> None:
            for first, count in slice_rows(len(gradient), stage.task.layout.bytes_per_sample):
                data = stage.encoding.encode(gradient[first : first + count])
                kind = wire.Tensor.CUT_GRADIENT
                await session.send_tensor(kind, ticket.step, ticket.attempt, first, count, data)

        return send

    def _current(self, ticket: told.Ticket) -> _Attempt:
        if self._attempt is None or self._attempt.intake.ticket != ticket:
            raise LookupError(f"no attempt {ticket} is under way")
        return self._attempt


def _sending_order(order: do.OrderForward, parameters: list[bytes]) -> Sending:
    share = order.share
    header = wire.Header(
        forward=wire.Forward(
            step=order.ticket.step,
            attempt=order.ticket.attempt,
            epoch=order.epoch,
            offset=share.offset,
            samples=share.samples,
            next_offset=share.offset + share.samples,
            next_samples=order.next_samples,
        )
    )

    async def send(session: Session) -> None:
        await session.send(header)
        for frame in parameters:
            await session.send_encoded(frame)

    return send
