"""Feed events to the coordinator and execute its effects."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.operation import Phase
from pslgs.coordination.replies import UnexpectedReply
from pslgs.server.context import ServerContext
from pslgs.server.evaluation_runner import EvaluationRunner
from pslgs.server.job_clients import JobClients
from pslgs.server.run_checkpoint import NonFiniteStateError
from pslgs.server.schedule_drawer import ScheduleDrawer
from pslgs.server.step_runner import StepRunner
from pslgs.telemetry import status
from pslgs.telemetry.records import CheckpointRecord, ClientRecord, SkippedRecord
from pslgs.transport.grpc_server import Session
from pslgs.transport.peer_text import one_line
from pslgs.transport.v1 import training_pb2 as wire

SaveNow = Callable[[int], str | None]
"""Writes a checkpoint of a step, in the torch thread; returns why it could not, if so.

Raises `NonFiniteStateError`.
"""

TURN_SECONDS = 0.005
"""How long events are handled in a row before streams and timers get their turn."""

_SHOWN = {
    Phase.WAITING: status.Phase.WAITING,
    Phase.EVALUATION: status.Phase.EVALUATING,
}

_END_STATUSES = {
    messages.EndCause.LOST: grpc.StatusCode.ABORTED,
    messages.EndCause.REPLACED: grpc.StatusCode.ALREADY_EXISTS,
    messages.EndCause.NON_FINITE: grpc.StatusCode.DATA_LOSS,
}


class CoordinatorDriver:
    """Tells the coordinator what happens, and has its effects carried out."""

    def __init__(
        self,
        context: ServerContext,
        coordinator: Coordinator,
        evaluations: EvaluationRunner,
        prepare_checkpoint: Callable[[], SaveNow],
    ) -> None:
        """Take what is needed.

        Args:
            context: What effects are carried out with.
            coordinator: Decides.
            evaluations: Carries out evaluations.
            prepare_checkpoint: Fixes the coordinator's state for a checkpoint that the torch thread writes.
        """
        self._finished: messages.Finish | None = None
        self._shown = Phase.WAITING
        self._context = context
        self._coordinator = coordinator
        self._steps = StepRunner(context)
        self._evaluations = evaluations
        self._drawer = ScheduleDrawer(context.tasks, self.post)
        self._prepare_checkpoint = prepare_checkpoint
        context.recorder.follow_clients(JobClients(coordinator))
        # Bounded by the streams: each has at most one Joined, one Left and one complete answer in here, since
        # its next answer is ordered only after the coordinator has been told of the last one.
        self._events: asyncio.Queue[messages.Event] = asyncio.Queue()
        self._perform: dict[type, Callable[[Any], None]] = {
            messages.DrawSchedule: self._drawer.draw,
            messages.RunServerStep: self._steps.run_server_step,
            messages.SendCutGradients: self._steps.send_cut_gradients,
            messages.ApplyUpdate: self._steps.apply_update,
            messages.AbandonAttempt: self._steps.abandon,
            messages.OrderEvaluation: evaluations.order,
            messages.ScoreEvaluation: evaluations.score,
            messages.DropEvaluation: evaluations.drop,
            messages.EvaluateAtServer: evaluations.at_server,
            messages.ConcludeEvaluation: evaluations.conclude,
            messages.AbandonEvaluation: evaluations.abandon,
            messages.SaveCheckpoint: self._save_checkpoint,
            messages.EndSession: self._end_session,
            messages.Finish: self._finish,
        }

    def post(self, event: messages.Event) -> None:
        """Tell the coordinator of an event, after all that it has been told before."""
        self._events.put_nowait(event)

    async def conduct(self) -> messages.Finish:
        """Carry out what the coordinator says until the run is over; return how it ended."""
        turn_began = self._context.clock()
        while self._finished is None:
            event = await self._events.get()
            if self._context.clock() - turn_began > TURN_SECONDS:
                await asyncio.sleep(0)  # getting from a queue that is not empty lets nothing else run
                turn_began = self._context.clock()
            self._perform_all(self._coordinator.handle(event, self._context.clock()))
            self._show(ticked=isinstance(event, messages.Tick))
        return self._finished

    def accept(self, session: Session, header: wire.Tensor, payload: memoryview) -> None:
        """Take in a chunk of a client's answer; one that nobody waits for is counted and dropped.

        Raises:
            ProtocolViolation: the chunk is not what comes next, or too many came that nobody waits for.
        """
        runner = self._steps if header.attempt else self._evaluations
        event = runner.accept(session, header, payload)
        if event is not None:
            self.post(event)
        self._context.faults.check_flood(session.client_id)

    def tick(self) -> None:
        """Note that time has passed."""
        self._context.faults.flush()
        self._context.recorder.count_bytes(self._context.connections.bytes_so_far())
        self.post(messages.Tick())

    def _perform_all(self, effects: list[messages.Effect]) -> None:
        orders = [effect for effect in effects if isinstance(effect, messages.OrderForward)]
        for effect in effects:
            if not isinstance(effect, messages.OrderForward):
                self._perform.get(type(effect), self._report)(effect)
        if orders:
            self._steps.order_forward(orders)

    def _save_checkpoint(self, effect: messages.SaveCheckpoint) -> None:
        self._context.tasks.create_task(self._save(effect.step, self._prepare_checkpoint()))

    def _end_session(self, effect: messages.EndSession) -> None:
        self._context.connections.end(effect.session, _END_STATUSES[effect.cause], effect.reason)

    def _report(self, effect: messages.Effect) -> None:
        recorder, step = self._context.recorder, self._coordinator.step
        now = recorder.now()
        match effect:
            case messages.ReportJoined(client, samples, returned):
                reason = "it returned" if returned else "it is new"
                recorder.write(ClientRecord(now, step, client, "joined", reason, samples))
            case messages.ReportLost(client, kind, reason):
                recorder.write(ClientRecord(now, step, client, "lost", reason, cause=kind))
            case messages.ReportSkipped(epoch, samples_by_client):
                recorder.write(SkippedRecord(now, epoch, samples_by_client))
            case messages.ReportIgnored(client):
                self._context.faults.ignored(client, UnexpectedReply.LATE)

    def _finish(self, effect: messages.Finish) -> None:
        self._context.recorder.finish(self._coordinator.step, effect.exit_code, effect.message)
        header = wire.Header(finish=wire.Finish(exit_code=effect.exit_code, reason=one_line(effect.message)))
        self._context.connections.broadcast(lambda session: session.send(header))
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

    def _show(self, *, ticked: bool) -> None:
        if self._finished is not None:
            return
        phase, before = self._coordinator.phase, self._shown
        self._shown = phase
        message = self._message(phase, before) if ticked or phase is not before else None
        shown = _SHOWN.get(phase, status.Phase.TRAINING)
        self._context.recorder.show(shown, self._coordinator.total_steps(), message)

    def _message(self, phase: Phase, before: Phase) -> str | None:
        """Return what the status says of a phase; None where what it says may stay."""
        match phase:
            case Phase.WAITING:
                return self._coordinator.missing_requirement() or "for the expected clients"
            case Phase.DRAWING:
                return f"drawing the schedule of epoch {self._coordinator.epoch.number}"
            case _:
                return "" if before in {Phase.WAITING, Phase.DRAWING} else None
