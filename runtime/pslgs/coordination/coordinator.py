"""The coordinator: told what happened, it says what to do.  No clock, socket, thread or tensor in it."""

from collections.abc import Iterable

from pslgs.coordination.epoch import Epoch, ResponseTimes, ResponseTimeState
from pslgs.coordination.evaluation import ClientEvaluation, ServerEvaluation
from pslgs.coordination.membership import (
    ClientInfo,
    Lack,
    Membership,
    lack_of,
    may_start,
    missing_requirement,
)
from pslgs.coordination.messages import (
    TICK_SECONDS,
    CheckpointDone,
    CheckpointRefused,
    ClientGradientReceived,
    Effect,
    EndCause,
    EndSession,
    EvaluationAnswered,
    Event,
    ExchangeId,
    Finish,
    Joined,
    Left,
    LocalBatch,
    NumericFaultFound,
    ReportIgnored,
    ReportJoined,
    ReportLost,
    ReportSkipped,
    SmashedDataReceived,
    StopRequested,
    Tick,
)
from pslgs.coordination.numeric_faults import NumericFault, divergence
from pslgs.coordination.operation import Checkpointing, Drawing, Operation, Phase
from pslgs.coordination.schedule_draw import DrawResult, ScheduleDraw
from pslgs.coordination.settings import Settings
from pslgs.coordination.state import CoordinatorState
from pslgs.coordination.step_attempt import StepAttempt
from pslgs.sampling.batch_size import batch_size_violation
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnLostClient, OnNonFinite

MOST_TICK_SECONDS = 4 * TICK_SECONDS
"""What a single tick may add to a time-out, so that a server that was held up does not lose its clients."""

MOST_OFFENCES = 3
"""Clients' values that are not finite, counted over all clients, with which the job ends."""


class Coordinator:
    """Leads one job from its first client to its end.

    A step is atomic: its samples count as used only once its update is done, and an attempt that loses a
    client is abandoned as if it had not begun.

    Attributes:
        step: Steps committed so far.
        epoch: The epoch under way.
        membership: The job's clients.
    """

    def __init__(self, settings: Settings, now: float, state: CoordinatorState | None = None) -> None:
        self.step = state.step if state else 0
        self._delays = ResponseTimes(state.delays if state else ResponseTimeState(settings.known_delays))
        self.epoch = (
            Epoch.restore(state.epoch, settings.seed, settings.draw_schedule, self._delays.known)
            if state
            else Epoch(1, settings.seed, settings.draw_schedule, self._delays.known)
        )
        self.membership = Membership(state.samples if state else None)
        self._absent = set(self.membership.samples())
        self._settings = settings
        self._planned_for: tuple[int, int] | None = None
        self._operation: Operation | None = None
        self._effects: list[Effect] = []
        self._attempts = 0
        self._offences = 0
        self._steps_an_epoch = 0
        self._evaluated = state.evaluated if state else False
        self._checkpointed_at = self.step
        self._started = False
        self._ending: Finish | None = None
        self._finished = False
        self._opened_at = now - (state.active_seconds if state else 0.0)
        self._waiting_since = now
        self._last_join = now
        self._ticked_at = now

    @property
    def phase(self) -> Phase:
        """Where the coordinator is."""
        if self._finished:
            return Phase.FINISHED
        return self._operation.phase if self._operation else Phase.WAITING

    def state(self, now: float) -> CoordinatorState:
        """Return what a checkpoint must keep; an attempt under way is not in it."""
        active = now - self._opened_at
        return CoordinatorState(
            step=self.step,
            epoch=self.epoch.state(),
            evaluated=self._evaluated,
            samples=self.membership.samples(),
            active_seconds=active,
            delays=self._delays.state(),
        )

    def steps_in_all(self) -> int:
        """Count the steps of the whole job, those to come as if undisturbed; 0 before the first schedule."""
        if not self._steps_an_epoch:
            return 0
        epochs_to_come = max(0, self._settings.epochs - self.epoch.number)
        return self.step + self.epoch.steps_left() + self._steps_an_epoch * epochs_to_come

    def lacking(self) -> str | None:
        """Say in a sentence what training needs and has not; None where nothing is lacking."""
        return missing_requirement(self.membership, self._settings, started=self._started)

    def _lack(self) -> Lack | None:
        return lack_of(self.membership, self._settings, started=self._started)

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in one event and return what to do, in order.

        Args:
            event: What happened.
            now: Seconds on any clock that never goes back.
        """
        if self._finished:
            return []
        match event:
            case Joined():
                self._join(event, now)
            case Left(client, session, reason):
                if self.membership.session(client) == session:
                    self._lose(client, "disconnected", reason, now)
            case NumericFaultFound(exchange, fault):
                self._reject(exchange, fault, now)
            case CheckpointRefused(found):
                self._take(CheckpointDone(), now)
                self._diverge(found)
            case Tick():
                self._watch(now)
            case StopRequested(reason):
                self._end(ExitCode.INTERRUPTED, reason)
            case _:
                self._take(event, now)
        self._go_on(now)
        effects, self._effects = self._effects, []
        return effects

    # Membership

    def _join(self, joined: Joined, now: float) -> None:
        client, session = joined.client, self.membership.session(joined.client)
        if session is not None:
            self._do(
                EndSession(
                    client, session, "a newer connection of this client took its place", EndCause.REPLACED
                )
            )
            self._lose(client, "replaced", "it connected again", now)
        returned = client in self.membership
        if returned and (held := self.membership.member(client).samples) != joined.samples:
            # Its order of this epoch was another one: no offset into it means anything until the next epoch.
            self.epoch.offsets[client] = max(held, joined.samples)
        self.membership.admit(
            client, ClientInfo(joined.samples, joined.evaluation_samples, joined.session, joined.label_counts)
        )
        self._last_join = now
        self._absent.discard(client)
        self._do(ReportJoined(client, joined.samples, returned))

    def _lose(self, client: str, kind: str, reason: str, now: float) -> None:
        self.membership.lose(client)
        self._do(ReportLost(client, kind, reason))
        if self._operation and not self._operation.done:
            self._do(*self._operation.lose(client, reason, now))
        if self._started and self._settings.on_lost is OnLostClient.FAIL:
            self._end(
                ExitCode.CLIENT_LOST,
                f"client {client} was lost ({reason}), and spec.faultTolerance.onLostClient is Fail",
            )

    # Numbers

    def _reject(self, exchange: ExchangeId, fault: NumericFault, now: float) -> None:
        """Give up the attempt under ``exchange``; without a client to blame, the training has diverged."""
        operation = self._operation
        if isinstance(operation, ClientEvaluation) and not operation.done:
            self._exclude(operation, exchange, fault, now)
            return
        kind = "non_finite" if fault.clients else "diverged"
        abandoned = operation.fail(exchange, kind, fault.found) if isinstance(operation, StepAttempt) else []
        if not abandoned:
            return
        self._do(*abandoned)
        if not fault.clients:
            self._diverge(fault.found)
        elif self._settings.on_non_finite is OnNonFinite.SKIP_STEP:
            self.epoch.skip()
        else:
            self._punish(fault, now)

    def _exclude(
        self, evaluation: ClientEvaluation, exchange: ExchangeId, fault: NumericFault, now: float
    ) -> None:
        """Leave the clients to blame out of an evaluation; the job goes on without them, or not."""
        if not evaluation.expects(exchange):
            return
        for client in sorted(fault.clients):
            self._do(*evaluation.exclude(client, now))
        if self._settings.on_non_finite is not OnNonFinite.SKIP_STEP:
            self._punish(fault, now)

    def _punish(self, fault: NumericFault, now: float) -> None:
        """Drop the clients to blame, or end the job, as the settings say."""
        for client, sent in sorted(fault.clients.items()):
            self._punish_client(client, sent, now)

    def _punish_client(self, client: str, sent: str, now: float) -> None:
        self._offences += 1
        if self._settings.on_non_finite is OnNonFinite.FAIL:
            why = "spec.faultTolerance.onNonFinite is Fail"
            self._end(ExitCode.NON_FINITE, f"client {client} sent {sent}, and {why}")
            return
        reason, session = f"it sent {sent}", self.membership.session(client)
        if session is not None:
            self._do(EndSession(client, session, reason, EndCause.NON_FINITE))
            self._lose(client, "non_finite", reason, now)
        if self._offences >= MOST_OFFENCES:
            self._end(
                ExitCode.NON_FINITE,
                f"client {client} sent {sent}; it was the third time that a client sent such values",
            )

    def _diverge(self, found: str) -> None:
        self._end(ExitCode.DIVERGED, divergence(found))

    # Time

    def _watch(self, now: float) -> None:
        self._forgive_delay(now)
        deadline, timeout = self._settings.deadline, self._settings.client_timeout
        if deadline is not None and now - self._opened_at > deadline:
            self._end(ExitCode.DEADLINE_EXCEEDED, f"spec.activeDeadlineSeconds: {deadline:g} s are over")
        for client in self._operation.overdue(now, timeout) if self._operation else ():
            session = self.membership.session(client)
            if session is not None:
                reason = f"no answer within {timeout:g} s (spec.faultTolerance.clientTimeoutSeconds)"
                self._do(EndSession(client, session, reason))
                self._lose(client, "timeout", reason, now)

    def _forgive_delay(self, now: float) -> None:
        """Charge nobody with more than `MOST_TICK_SECONDS` a tick.

        A tick that comes later shows that the server was held up, and with it the answers that lie in its
        sockets and the clients that wait to join.
        """
        delay, self._ticked_at = now - self._ticked_at - MOST_TICK_SECONDS, now
        if delay > 0:
            self._waiting_since = min(self._waiting_since + delay, now)
            self._last_join = min(self._last_join + delay, now)
            if self._operation:
                self._operation.forgive(delay, now)

    def _watch_patience(self, now: float) -> None:
        patience = self._settings.quorum_timeout
        if self._lack() and now - self._waiting_since > patience:
            self._end(
                ExitCode.QUORUM_LOST,
                f"{self.lacking()}; waited {patience:g} s (spec.faultTolerance.quorumTimeoutSeconds)",
            )

    def _ready(self, now: float) -> bool:
        if self._lack():
            return False
        return self._started or may_start(self.membership, self._settings, now - self._last_join)

    # What is under way, and what comes next

    def _take(self, event: Event, now: float) -> None:
        effects = self._operation.take(event, now) if self._operation else None
        if effects is not None:
            self._do(*effects)
        elif isinstance(event, SmashedDataReceived | ClientGradientReceived | EvaluationAnswered):
            self._do(ReportIgnored(event.client, event.exchange))

    def _go_on(self, now: float) -> None:
        """Settle what is done and begin what comes next, until something is under way or waited for."""
        while not self._finished and (self._operation is None or self._operation.done):
            just_drawn = isinstance(self._operation, Drawing) and self._operation.completed
            self._settle(now)
            if self._checkpoint_due():
                self._checkpointed_at = self.step
                checkpointing = Checkpointing(self.step)
                self._begin(checkpointing, checkpointing.begin())
            elif self._ending or self.epoch.number > self._settings.epochs:
                self._conclude()
            elif self._ready(now):
                self._begin_next(now, just_drawn=just_drawn)
            else:
                self._watch_patience(now)
                if not self._ending:
                    return

    def _settle(self, now: float) -> None:
        match self._operation:
            case StepAttempt(completed=True) as attempt:
                self.epoch.commit()
                if self._settings.uses_client_stats:
                    self._delays.note(attempt.answer_seconds)
                self.step += 1
                self._attempts = 0
            case ServerEvaluation(completed=True) | ClientEvaluation(completed=True):
                self._evaluated = True
            case Drawing(draw=draw, result=DrawResult() as result):
                if self.epoch.restoring:
                    self._planned_for = None  # it was drawn for those who were there before the resume
                self.epoch.adopt(draw, result)
                self._steps_an_epoch = self.epoch.steps_planned()
        if self._operation:
            self._waiting_since = now
        self._operation = None

    def _checkpoint_due(self) -> bool:
        new_steps = self.step - self._checkpointed_at
        if self._ending and self._ending.exit_code is ExitCode.DIVERGED:
            return False  # The model's state is not worth keeping, and the checkpoints before it are.
        over = self._ending is not None or self.epoch.number > self._settings.epochs
        return new_steps >= self._settings.checkpoint_every or (over and new_steps > 0)

    def _begin(self, operation: Operation, effects: Iterable[Effect]) -> None:
        self._operation = operation
        self._do(*effects)

    def _start(self, now: float) -> None:
        """Take the first step from now on, without those that the checkpoint knows and that are not back."""
        self._started = True
        for client in sorted(self._absent):
            self._lose(client, "absent", "it has not come back since the server was started again", now)

    def _begin_next(self, now: float, *, just_drawn: bool) -> None:
        if not self._started:
            self._start(now)
            if self._ending or self._lack():
                return
        draw = self._draw_due(just_drawn=just_drawn)
        if draw:
            drawing = Drawing(draw)
            self._begin(drawing, drawing.begin())
        elif self.epoch.steps_left():
            self._begin_attempt(now)
        elif self._evaluation_due():
            self._begin_evaluation(now)
        else:
            self._end_epoch()

    def _draw_due(self, *, just_drawn: bool) -> ScheduleDraw | None:
        """Return the draw to be made; None as long as the same clients are there in the same epoch."""
        present = self.epoch.number, self.membership.changes
        if present == self._planned_for:
            return None
        live = self.membership.live()
        samples = {name: member.samples for name, member in live.items()}
        weighed = live if self._settings.uses_client_stats else {}
        label_counts = {name: member.label_counts for name, member in weighed.items()}
        if not just_drawn:  # clients that came meanwhile are planned for after one step
            self._planned_for = present
        return self.epoch.plan(samples, label_counts, just_drawn=just_drawn)

    def _begin_attempt(self, now: float) -> None:
        too_large = batch_size_violation(self._settings.global_batch_size, self.membership.pooled_samples)
        if too_large is not None and len(self.membership) >= self._settings.expected_clients:
            self._end(ExitCode.BAD_INPUT, str(too_large))
            return
        self._attempts += 1
        local_batches = tuple(
            LocalBatch(
                client,
                self.membership.member(client).open_session(),
                self.epoch.offsets.get(client, 0),
                samples,
            )
            for client, samples in self.epoch.next_batch().items()
        )
        attempt = StepAttempt(ExchangeId(self.step + 1, self._attempts), self.epoch.number, local_batches)
        self._begin(attempt, attempt.begin(self.epoch.next_batch(ahead=1), now))

    def _evaluation_due(self) -> bool:
        epoch = self.epoch.number
        due = epoch % self._settings.evaluate_every == 0 or epoch == self._settings.epochs
        return due and not self._evaluated and self._settings.evaluate_at is not None

    def _begin_evaluation(self, now: float) -> None:
        exchange, epoch = ExchangeId(self.step, 0), self.epoch.number
        if self._settings.evaluate_at is EvaluationPlace.SERVER:
            at_server = ServerEvaluation(exchange, epoch)
            self._begin(at_server, at_server.begin())
        else:
            at_clients = ClientEvaluation(
                exchange,
                epoch,
                self.membership.live(),
                self.membership.lost(),
                self._settings.evaluation_range,
            )
            self._begin(at_clients, at_clients.begin(now))

    def _end_epoch(self) -> None:
        skipped = {
            client: left
            for client, held in self.membership.samples().items()
            if (left := self.epoch.remaining(client, held) + self.epoch.skipped.get(client, 0))
        }
        if skipped:
            self._do(ReportSkipped(self.epoch.number, skipped))
        self._evaluated = False
        self._delays.end_epoch()
        self.epoch = Epoch(
            self.epoch.number + 1, self._settings.seed, self._settings.draw_schedule, self._delays.known
        )

    # The end

    def _end(self, exit_code: ExitCode, message: str) -> None:
        """Come to an end as soon as what is under way can be left; the first reason counts."""
        self._ending = self._ending or Finish(exit_code, message)
        if self._operation and not self._operation.done:
            self._do(*self._operation.abandon(message))

    def _conclude(self) -> None:
        trained = f"trained {self._settings.epochs} epochs, {self.step} steps"
        self._do(self._ending or Finish(ExitCode.FINISHED, trained))
        self._finished = True

    def _do(self, *effects: Effect) -> None:
        self._effects.extend(effects)
