"""Feed events to the coordinator and execute its effects."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.operation import Phase
from pslgs.coordination.replies import UnexpectedReply
from pslgs.server.context import ServerContext
from pslgs.server.evaluation_runner import EvaluationRunner
from pslgs.server.job_clients import JobClients
from pslgs.server.run_checkpoint import NonFiniteStateError
from pslgs.server.schedule_drawer import ScheduleDrawer
from pslgs.server.step_runner import StepRunner
from pslgs.spec import ServerPhase
from pslgs.telemetry.records import CheckpointRecord, ClientRecord, SkippedRecord
from pslgs.telemetry.series import CLIENT_FAULTS
from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import control_frame
from pslgs.transport.peer_text import one_line
from pslgs.transport.v1 import training_pb2 as wire

SaveNow = Callable[[int], str | None]
"""Writes a checkpoint of a step, in the torch thread; returns the error message if it cannot be written.

Raises `NonFiniteStateError`.
"""

WriteNow = Callable[[], str | None]
"""Writes the best model, in the torch thread; returns the error message if it cannot be written."""

TURN_SECONDS = 0.005
"""Maximum time for which events are handled in a row before other tasks of the event loop run."""

_STATUS_PHASES = {
    Phase.WAITING: ServerPhase.WAITING,
    Phase.EVALUATION: ServerPhase.EVALUATING,
}

_END_STATUSES = {
    EndCause.TIMED_OUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    EndCause.LOST: grpc.StatusCode.ABORTED,
    EndCause.REPLACED: grpc.StatusCode.ALREADY_EXISTS,
    EndCause.NON_FINITE: grpc.StatusCode.DATA_LOSS,
    EndCause.VIOLATION: grpc.StatusCode.INVALID_ARGUMENT,
    EndCause.EXCLUDED: grpc.StatusCode.PERMISSION_DENIED,
}


class CoordinatorDriver:
    """Passes events to the coordinator, and executes the effects that it returns."""

    def __init__(
        self,
        context: ServerContext,
        coordinator: Coordinator,
        evaluations: EvaluationRunner,
        prepare_checkpoint: Callable[[], SaveNow],
        prepare_best: Callable[[messages.KeepBest], WriteNow] = lambda _: lambda: None,
    ) -> None:
        """Make a driver.

        Args:
            context: The server's parts.
            coordinator: Decides which effects to execute.
            evaluations: Executes evaluations.
            prepare_checkpoint: Copies the coordinator's state for a checkpoint that the torch thread writes.
            prepare_best: Returns what writes the model of the best evaluation; by default, it is not kept.
        """
        self._finished: messages.Finish | None = None
        self._last_phase = Phase.WAITING
        self._context = context
        self._coordinator = coordinator
        self._steps = StepRunner(context)
        self._evaluations = evaluations
        self._drawer = ScheduleDrawer(context.tasks, self.post)
        self._prepare_checkpoint = prepare_checkpoint
        self._left_out: dict[str, Mapping[str, int]] = {}
        self._prepare_best = prepare_best
        context.recorder.follow_clients(JobClients(coordinator))
        # Bounded by the number of sessions: each has at most one Joined, one Unusable, one Left and one
        # complete answer in the queue, since its next answer is requested only after the coordinator has
        # handled the last one.
        self._events: asyncio.Queue[messages.Event] = asyncio.Queue()
        self._handlers: dict[type, Callable[[Any], None]] = {
            messages.DrawSchedule: self._drawer.draw,
            messages.RunServerStep: self._steps.run_server_step,
            messages.SendCutGradients: self._steps.send_cut_gradients,
            messages.ApplyUpdate: self._steps.apply_update,
            messages.AbandonAttempt: self._steps.abandon,
            messages.OrderEvaluation: evaluations.order_range,
            messages.ScoreEvaluation: evaluations.score_range,
            messages.DropEvaluation: evaluations.drop_range,
            messages.EvaluateAtServer: evaluations.evaluate_at_server,
            messages.ConcludeEvaluation: evaluations.conclude,
            messages.AbandonEvaluation: evaluations.abandon,
            messages.KeepBest: self._keep_best_model,
            messages.SaveCheckpoint: self._save_checkpoint,
            messages.EndSession: self._end_session,
            messages.Finish: self._finish,
        }

    def post(self, event: messages.Event) -> None:
        """Queue an event for the coordinator."""
        self._events.put_nowait(event)

    def note_left_out(self, client: str, left_out: Mapping[str, int]) -> None:
        """Note what a client that is about to join leaves out of its data, by reason."""
        if left_out or client in self._left_out:
            self._left_out[client] = left_out

    async def run(self) -> messages.Finish:
        """Handle events until the coordinator finishes; return how the run ended."""
        turn_began = self._context.clock()
        ticked = False
        while self._finished is None:
            event = await self._events.get()
            if self._context.clock() - turn_began > TURN_SECONDS:
                await asyncio.sleep(0)  # getting from a queue that is not empty does not yield
                turn_began = self._context.clock()
            self._execute(self._coordinator.handle(event, self._context.clock()))
            ticked = ticked or isinstance(event, messages.Tick)
            if ticked or self._events.empty():  # the status is needed after the last of several events only
                self._update_status(ticked=ticked)
                ticked = False
        return self._finished

    def receive(self, session: Session, header: wire.Tensor, payload: memoryview) -> None:
        """Receive a chunk of a client's answer; a late one is counted and dropped.

        Raises:
            ProtocolViolation: the chunk is out of order, replayed or unasked, or one of too many late ones.
        """
        runner = self._steps if header.attempt else self._evaluations
        event = runner.receive(session, header, payload)
        if event is not None:
            self.post(event)

    def held_up_seconds(self, client: str) -> float:
        """Return for how long others have waited for an answer of a client."""
        return self._coordinator.held_up_seconds(client, self._context.clock())

    def is_replaced(self, session: Session) -> bool:
        """Return whether another session of its client takes part."""
        return self._coordinator.membership.session(session.client_id) not in {session.number, None}

    def exclusion(self, client: str) -> str | None:
        """Return why a client may not take part; None if it may."""
        return self._coordinator.membership.exclusion(client)

    def tick(self) -> None:
        """Update counters, and post a tick to the coordinator."""
        self._context.faults.flush()
        self._context.recorder.update_byte_counters(self._context.connections.byte_counts())
        self.post(messages.Tick())

    def _execute(self, effects: list[messages.Effect]) -> None:
        orders = [effect for effect in effects if isinstance(effect, messages.OrderForward)]
        for effect in effects:
            if not isinstance(effect, messages.OrderForward):
                self._handlers.get(type(effect), self._report)(effect)
        if orders:
            self._steps.order_forward(orders)

    def _save_checkpoint(self, effect: messages.SaveCheckpoint) -> None:
        self._context.tasks.create_task(self._save(effect.step, self._prepare_checkpoint()))

    def _keep_best_model(self, effect: messages.KeepBest) -> None:
        # The torch thread executes in order, so it is written before the next step changes the model.
        self._context.tasks.create_task(self._write_best_model(effect.step, self._prepare_best(effect)))

    async def _write_best_model(self, step: int, write: WriteNow) -> None:
        begun = self._context.clock()
        error = await self._context.torch.run(write)
        if error is not None:
            recorder, seconds = self._context.recorder, self._context.clock() - begun
            recorder.write(CheckpointRecord(recorder.now(), step, seconds, error))

    def _end_session(self, effect: messages.EndSession) -> None:
        self._context.connections.end(effect.session, _END_STATUSES[effect.cause], effect.reason)

    def _report(self, effect: messages.Effect) -> None:
        recorder, step = self._context.recorder, self._coordinator.step
        now = recorder.now()
        match effect:
            case messages.ReportJoined(client, samples, returned):
                reason = "it returned" if returned else "it is new"
                left_out = self._left_out.get(client, {})
                recorder.write(ClientRecord(now, step, client, "joined", reason, samples, left_out=left_out))
            case messages.ReportLost(client, kind, reason):
                recorder.write(ClientRecord(now, step, client, "lost", reason, cause=kind))
                if kind in CLIENT_FAULTS - {"violation"}:  # that was noted as a refusal
                    self._context.faults.note(client, kind, reason)
            case messages.ReportExcluded(client, reason):
                recorder.exclude(client, reason)
            case messages.ReportSkipped(epoch, samples_by_client):
                recorder.write(SkippedRecord(now, epoch, samples_by_client))
            case messages.ReportIgnored(client):
                self._context.faults.ignored(client, UnexpectedReply.LATE)

    def _finish(self, effect: messages.Finish) -> None:
        self._context.recorder.finish(
            self._coordinator.step, effect.exit_code, effect.message, early=effect.early
        )
        finish = wire.Finish(exit_code=effect.exit_code, reason=one_line(effect.message))
        self._context.connections.broadcast([control_frame(wire.Header(finish=finish))])
        self._drawer.close()
        self._finished = effect

    async def _save(self, step: int, save: SaveNow) -> None:
        begun = self._context.clock()
        done: messages.Event = messages.CheckpointDone()
        try:
            error = await self._context.torch.run(save, step)
        except NonFiniteStateError as refusal:
            error, done = str(refusal), messages.CheckpointRefused(str(refusal))
        recorder = self._context.recorder
        recorder.write(CheckpointRecord(recorder.now(), step, self._context.clock() - begun, error))
        self.post(done)

    def _update_status(self, *, ticked: bool) -> None:
        if self._finished is not None:
            return
        phase, before = self._coordinator.phase, self._last_phase
        self._last_phase = phase
        message = self._message(phase, before) if ticked or phase is not before else None
        shown = _STATUS_PHASES.get(phase, ServerPhase.TRAINING)
        self._context.recorder.set_phase(shown, self._coordinator.total_steps(), message)
        self._context.recorder.set_progress(self._coordinator.fraction())

    def _message(self, phase: Phase, before: Phase) -> str | None:
        """Return the status message of a phase; None to keep the present one."""
        if phase is Phase.WAITING:
            return self._coordinator.missing_requirement() or "for the expected clients"
        return "" if before is Phase.WAITING else None
