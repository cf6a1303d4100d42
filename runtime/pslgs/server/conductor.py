"""Between the coordinator and the world: events in, effects out, one after another."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from pslgs.coordination import effects as do
from pslgs.coordination import events as told
from pslgs.coordination.activity import Phase
from pslgs.coordination.answers import Unexpected
from pslgs.coordination.coordinator import Coordinator
from pslgs.observability import status
from pslgs.observability.records import CheckpointRecord, ClientRecord, SkippedRecord
from pslgs.server.evaluations import EvaluationRunner
from pslgs.server.keeper import NonFiniteStateError
from pslgs.server.schedule_drawer import ScheduleDrawer
from pslgs.server.stage import Stage
from pslgs.server.steps import StepRunner
from pslgs.wire.peer_text import one_line
from pslgs.wire.service import Session
from pslgs.wire.v1 import training_pb2 as wire

SaveNow = Callable[[int], str | None]
"""Writes a checkpoint of a step, in the torch thread; returns why it could not, if so.

Raises `NonFiniteStateError`.
"""

_SHOWN = {
    Phase.WAITING: status.Phase.WAITING,
    Phase.EVALUATION: status.Phase.EVALUATING,
}

_END_STATUSES = {
    do.EndCause.LOST: grpc.StatusCode.ABORTED,
    do.EndCause.REPLACED: grpc.StatusCode.ALREADY_EXISTS,
    do.EndCause.NON_FINITE: grpc.StatusCode.DATA_LOSS,
}


class Conductor:
    """Tells the coordinator what happens, and has its effects carried out."""

    def __init__(
        self,
        stage: Stage,
        coordinator: Coordinator,
        evaluations: EvaluationRunner,
        prepare_checkpoint: Callable[[], SaveNow],
    ) -> None:
        """Take what is needed.

        Args:
            stage: What effects are carried out with.
            coordinator: Decides.
            evaluations: Carries out evaluations.
            prepare_checkpoint: Fixes the coordinator's state for a checkpoint that the torch thread writes.
        """
        self._finished: do.Finish | None = None
        self._shown = Phase.WAITING
        self._stage = stage
        self._coordinator = coordinator
        self._steps = StepRunner(stage)
        self._evaluations = evaluations
        self._drawer = ScheduleDrawer(stage.tasks, self.tell)
        self._prepare_checkpoint = prepare_checkpoint
        self._events: asyncio.Queue[told.Event] = asyncio.Queue()
        self._perform: dict[type, Callable[[Any], None]] = {
            do.DrawSchedule: self._drawer.draw,
            do.RunServerStep: self._steps.run_server_step,
            do.SendCutGradients: self._steps.send_cut_gradients,
            do.ApplyUpdate: self._steps.apply_update,
            do.AbandonAttempt: self._steps.abandon,
            do.OrderEvaluation: evaluations.order,
            do.ScoreEvaluation: evaluations.score,
            do.DropEvaluation: evaluations.drop,
            do.EvaluateAtServer: evaluations.at_server,
            do.ConcludeEvaluation: evaluations.conclude,
            do.AbandonEvaluation: evaluations.abandon,
            do.SaveCheckpoint: self._save_checkpoint,
            do.EndSession: self._end_session,
            do.Finish: self._finish,
        }

    def tell(self, event: told.Event) -> None:
        """Tell the coordinator of an event, after all that it has been told before."""
        self._events.put_nowait(event)

    async def conduct(self) -> do.Finish:
        """Carry out what the coordinator says until the run is over; return how it ended."""
        while self._finished is None:
            event = await self._events.get()
            self._perform_all(self._coordinator.handle(event, self._stage.clock()))
            self._show()
        return self._finished

    def accept(self, session: Session, header: wire.Tensor, payload: memoryview) -> None:
        """Take in a chunk of a client's answer; one that nobody waits for is counted and dropped.

        Raises:
            ProtocolViolation: the chunk is not what comes next, or too many came that nobody waits for.
        """
        runner = self._steps if header.attempt else self._evaluations
        event = runner.accept(session, header, payload)
        if event is not None:
            self.tell(event)
        self._stage.faults.check_flood(session.client_id)

    def tick(self) -> None:
        """Note that time has passed."""
        self._stage.faults.flush()
        self._stage.scribe.count_bytes(self._stage.switchboard.bytes_so_far())
        self._show_clients()
        self.tell(told.Tick())

    def _perform_all(self, effects: list[do.Effect]) -> None:
        orders = [effect for effect in effects if isinstance(effect, do.OrderForward)]
        for effect in effects:
            if not isinstance(effect, do.OrderForward):
                self._perform.get(type(effect), self._report)(effect)
        if orders:
            self._steps.order_forward(orders)

    def _save_checkpoint(self, effect: do.SaveCheckpoint) -> None:
        self._stage.tasks.create_task(self._save(effect.step, self._prepare_checkpoint()))

    def _end_session(self, effect: do.EndSession) -> None:
        self._stage.switchboard.end(effect.session, _END_STATUSES[effect.cause], effect.reason)

    def _report(self, effect: do.Effect) -> None:
        scribe, step = self._stage.scribe, self._coordinator.step
        now = scribe.now()
        match effect:
            case do.ReportJoined(client, samples, returned):
                reason = "it returned" if returned else "it is new"
                scribe.write(ClientRecord(now, step, client, "joined", reason, samples))
            case do.ReportLost(client, kind, reason):
                scribe.write(ClientRecord(now, step, client, "lost", reason, cause=kind))
            case do.ReportSkipped(epoch, samples_by_client):
                scribe.write(SkippedRecord(now, epoch, samples_by_client))
            case do.ReportIgnored(client):
                self._stage.faults.ignored(client, Unexpected.LATE)

    def _finish(self, effect: do.Finish) -> None:
        self._stage.scribe.finish(self._coordinator.step, effect.exit_code, effect.message)
        header = wire.Header(finish=wire.Finish(exit_code=effect.exit_code, reason=one_line(effect.message)))
        self._stage.switchboard.broadcast(lambda session: session.send(header))
        self._drawer.close()
        self._finished = effect

    async def _save(self, step: int, save: SaveNow) -> None:
        begun = self._stage.clock()
        done: told.Event = told.CheckpointDone()
        try:
            error = await self._stage.torch.run(save, step)
        except NonFiniteStateError as refusal:
            error, done = str(refusal), told.CheckpointRefused(str(refusal))
        scribe = self._stage.scribe
        scribe.write(CheckpointRecord(scribe.now(), step, self._stage.clock() - begun, error))
        self.tell(done)

    def _show(self) -> None:
        if self._finished is None:
            phase, before = self._coordinator.phase, self._shown
            self._shown = phase
            shown = _SHOWN.get(phase, status.Phase.TRAINING)
            self._stage.scribe.show(shown, self._coordinator.steps_in_all(), self._message(phase, before))

    def _message(self, phase: Phase, before: Phase) -> str | None:
        """Return what the status says of a phase; None where what it says may stay."""
        match phase:
            case Phase.WAITING:
                return self._coordinator.lacking() or "for the expected clients"
            case Phase.DRAWING:
                return f"drawing the schedule of epoch {self._coordinator.epoch.number}"
            case _:
                return "" if before in {Phase.WAITING, Phase.DRAWING} else None

    def _show_clients(self) -> None:
        metrics, roster, epoch = self._stage.scribe.metrics, self._coordinator.roster, self._coordinator.epoch
        live = roster.live()
        metrics.set_clients(dict.fromkeys(live, "live") | dict.fromkeys(roster.lost(), "lost"))
        metrics.set_remaining({name: epoch.remaining(name, member.samples) for name, member in live.items()})
