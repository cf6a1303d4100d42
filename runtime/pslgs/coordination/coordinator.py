"""The coordinator: handles events and returns effects, without clock, socket, thread or tensor."""

from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.epoch import Epoch
from pslgs.coordination.membership import ClientInfo, Membership
from pslgs.coordination.messages import (
    TICK_SECONDS,
    CheckpointDone,
    CheckpointRefused,
    ClientGradientReceived,
    Effect,
    EndSession,
    EvaluationAnswered,
    Event,
    ExchangeId,
    Finish,
    Joined,
    KeepBest,
    Left,
    NumericFaultFound,
    ReportExcluded,
    ReportIgnored,
    ReportJoined,
    ReportLost,
    ReportSkipped,
    SmashedDataReceived,
    StopRequested,
    Tick,
    Unusable,
    Violated,
)
from pslgs.coordination.numeric_faults import NumericFault, divergence
from pslgs.coordination.operation import Drawing, Operation, Phase
from pslgs.coordination.progress import Progress
from pslgs.coordination.quorum import Quorum
from pslgs.coordination.schedule_draw import LabelCounts
from pslgs.coordination.settings import Settings
from pslgs.coordination.state import CoordinatorState
from pslgs.coordination.step_attempt import StepAttempt
from pslgs.coordination.violations import Reaction, Violations
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnLostClient, OnNonFinite

MAX_TICK_SECONDS = 4 * TICK_SECONDS
"""What a single tick may add to a time-out, so that a server that was held up does not lose its clients."""

MAX_FAULTY_CLIENTS = 3
"""Clients that sent values that cannot be used, with which the job ends."""


class Coordinator:
    """Leads one job from its first client to its end.

    A step is atomic: its samples count as used only once its update is done, and an attempt that loses a
    client is abandoned as if it had not begun.

    Attributes:
        membership: The job's clients.
    """

    def __init__(
        self,
        settings: Settings,
        now: float,
        state: CoordinatorState | None = None,
        label_counts: LabelCounts | None = None,
    ) -> None:
        """Begin a job, or continue it from the state and the clients' label counts of a checkpoint."""
        self.membership = Membership(state.samples if state else None, label_counts)
        self._settings = settings
        self._progress = Progress(settings, self.membership, state)
        self._quorum = Quorum(self.membership, settings, now)
        self._not_returned = set(self.membership.samples())
        self._operation: Operation | None = None
        self._effects: list[Effect] = []
        self._faulty_clients: set[str] = set()
        self._violations = Violations(settings.on_hostile)
        self._ending: Finish | None = None
        self._finished = False
        self._opened_at = now - (state.active_seconds if state else 0.0)
        self._ticked_at = now

    @property
    def step(self) -> int:
        """Steps committed so far."""
        return self._progress.step

    @property
    def epoch(self) -> Epoch:
        """The epoch in progress."""
        return self._progress.epoch

    @property
    def phase(self) -> Phase:
        """The phase of the operation in progress."""
        if self._finished:
            return Phase.FINISHED
        return self._operation.phase if self._operation else Phase.WAITING

    def state(self, now: float) -> CoordinatorState:
        """Return what a checkpoint contains; an attempt in progress is not part of it."""
        return self._progress.state(active_seconds=now - self._opened_at)

    def total_steps(self) -> int:
        """Count the steps of the whole job, assuming no further change; 0 before the first schedule."""
        return self._progress.total_steps()

    def fraction(self) -> float:
        """Return the fraction of the training that is done, 0 … 1; lost clients do not change it."""
        return self._progress.fraction()

    def missing_requirement(self) -> str | None:
        """Describe what training needs and does not have; None if nothing is missing."""
        return self._quorum.missing_requirement()

    def held_up_seconds(self, client: str, now: float) -> float:
        """Return for how long others have waited for a client's answer; 0 if most of them owe one, too."""
        since = self._operation.waiting_since() if self._operation else {}
        if client not in since or 2 * len(since) > self.membership.live_count:
            return 0.0
        return now - since[client]

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Handle one event and return the effects to execute, in order.

        Args:
            event: What happened.
            now: Seconds on any clock that never goes back.
        """
        if self._finished:
            return []
        match event:
            case Joined():
                self._handle_join(event, now)
            case Left():
                self._handle_leave(event, now)
            case Violated():
                self._handle_violation(event, now)
            case Unusable():
                self._handle_unusable(event, now)
            case NumericFaultFound(exchange, fault):
                self._handle_fault(exchange, fault, now)
            case CheckpointRefused(found):
                self._handle_in_operation(CheckpointDone(), now)
                self._end(ExitCode.DIVERGED, divergence(found))
            case Tick():
                self._handle_tick(now)
            case StopRequested(reason):
                self._end(ExitCode.INTERRUPTED, reason)
            case _:
                self._handle_in_operation(event, now)
        self._advance(now)
        effects, self._effects = self._effects, []
        return effects

    # Clients

    def _handle_join(self, joined: Joined, now: float) -> None:
        client, session = joined.client, self.membership.session(joined.client)
        if (reason := self.membership.exclusion(client)) is not None:
            self._add(EndSession(client, joined.session, reason, EndCause.EXCLUDED))
            return
        if session is not None:
            reason = "a newer connection of this client took its place"
            self._add(EndSession(client, session, reason, EndCause.REPLACED))
            self._lose_client(client, "replaced", "it connected again", now)
        returned = client in self.membership
        if returned and (held := self.membership.member(client).samples) != joined.samples:
            # Its order of this epoch was another one: no offset into it means anything until the next epoch.
            self.epoch.use_up(client, max(held, joined.samples))
        self.membership.admit(
            client, ClientInfo(joined.samples, joined.evaluation_samples, joined.session, joined.label_counts)
        )
        self._quorum.record_join(now)
        self._not_returned.discard(client)
        self._add(ReportJoined(client, joined.samples, returned))

    def _handle_leave(self, left: Left, now: float) -> None:
        if self.membership.session(left.client) == left.session:
            self._lose_client(left.client, "disconnected", left.reason, now)

    def _disconnect(self, client: str, kind: str, reason: str, now: float, cause: EndCause) -> None:
        """End a client's session, if it is connected, and continue without it."""
        session = self.membership.session(client)
        if session is not None:
            self._add(EndSession(client, session, reason, cause))
            self._lose_client(client, kind, reason, now)

    def _lose_client(self, client: str, kind: str, reason: str, now: float) -> None:
        self.membership.lose(client)
        self._add(ReportLost(client, kind, reason))
        if self._operation and not self._operation.done:
            self._add(*self._operation.client_lost(client, reason, now))
        if self._quorum.started and self._settings.on_lost is OnLostClient.FAIL:
            self._end(
                ExitCode.CLIENT_LOST,
                f"client {client} was lost ({reason}), and spec.faultTolerance.onLostClient is Fail",
            )

    def _handle_unusable(self, unusable: Unusable, now: float) -> None:
        """End the job because of a client whose data or code cannot be used.

        A client that comes to a training that runs does not end it: the others never waited for it.
        """
        client, session = unusable.client, unusable.session
        is_member = session is not None and self.membership.session(client) == session
        if is_member or (session is None and not self._quorum.started):
            self._end(ExitCode.BAD_INPUT, str(unusable))
        if is_member:
            self._lose_client(client, "disconnected", unusable.problem, now)

    # Clients that break rules

    def _handle_violation(self, violated: Violated, now: float) -> None:
        """Drop or exclude a client that violated the protocol, or end the job."""
        client, problem = violated.client, violated.problem
        reaction = self._violations.record(client)
        if reaction is Reaction.FAIL:
            why = "spec.faultTolerance.onHostile is Fail"
            self._end(
                ExitCode.HOSTILE_CLIENT, f"client {client} violated the protocol ({problem}), and {why}"
            )
        if reaction is Reaction.EXCLUDE:
            count = self._violations.count(client)
            times = "once" if count == 1 else f"{count} times"
            self._exclude(client, f"it violated the protocol {times}, the last time: {problem}", now)
        elif self.membership.session(client) == violated.session:
            self._disconnect(client, "violation", problem, now, EndCause.VIOLATION)

    def _exclude(self, client: str, reason: str, now: float, cause: EndCause = EndCause.EXCLUDED) -> None:
        """Let a client take part no more until the server is restarted."""
        if self.membership.exclusion(client) is None:
            self._disconnect(client, "excluded", reason, now, cause)
            self.membership.exclude(
                client, f"this client is excluded until the server is restarted: {reason}"
            )
            self._add(ReportExcluded(client, reason))

    def _handle_fault(self, exchange: ExchangeId, fault: NumericFault, now: float) -> None:
        operation = self._operation
        effects = operation.fail(exchange, fault, now) if operation else None
        if effects is None:
            return
        self._add(*effects)
        if not fault.clients:
            self._end(ExitCode.DIVERGED, divergence(fault.found))
        elif self._settings.on_non_finite is not OnNonFinite.SKIP_STEP:
            for client, sent in sorted(fault.clients.items()):
                self._handle_faulty_client(client, sent, now)
        elif isinstance(operation, StepAttempt):
            self.epoch.skip()

    def _handle_faulty_client(self, client: str, sent: str, now: float) -> None:
        """Drop or exclude a client, or end the job, depending on the settings and on earlier faults."""
        if self._settings.on_non_finite is OnNonFinite.FAIL:
            why = "spec.faultTolerance.onNonFinite is Fail"
            self._end(ExitCode.NON_FINITE, f"client {client} sent {sent}, and {why}")
            return
        if client in self._faulty_clients:
            self._exclude(client, f"it sent {sent}, and not for the first time", now, EndCause.NON_FINITE)
            return
        self._faulty_clients.add(client)
        self._disconnect(client, "non_finite", f"it sent {sent}", now, EndCause.NON_FINITE)
        if len(self._faulty_clients) >= MAX_FAULTY_CLIENTS:
            self._end(
                ExitCode.NON_FINITE,
                f"client {client} sent {sent}; it was the third client that sent such values",
            )

    # Time

    def _handle_tick(self, now: float) -> None:
        self._extend_time_outs(now)
        deadline, timeout = self._settings.deadline, self._settings.client_timeout
        if deadline is not None and now - self._opened_at > deadline:
            self._end(ExitCode.DEADLINE_EXCEEDED, f"spec.activeDeadlineSeconds: {deadline:g} s are over")
        overdue = self._operation.overdue_clients(now, timeout) if self._operation else []
        # That most of them are late together is not their fault, but that of the server or the network.
        at_fault = 2 * len(overdue) <= self.membership.live_count
        for client in overdue:
            reason = f"no answer within {timeout:g} s (spec.faultTolerance.clientTimeoutSeconds)"
            cause = EndCause.TIMED_OUT if at_fault else EndCause.LOST
            self._disconnect(client, "timeout", reason, now, cause)

    def _extend_time_outs(self, now: float) -> None:
        """Count at most `MAX_TICK_SECONDS` of the time since the last tick towards time-outs.

        A tick that comes later shows that the server was held up, and with it the replies that are in its
        sockets and the clients that wait to join.
        """
        delay, self._ticked_at = now - self._ticked_at - MAX_TICK_SECONDS, now
        if delay > 0:
            self._quorum.extend_waits(delay, now)
            if self._operation:
                self._operation.extend_time_outs(delay, now)

    # Operations

    def _handle_in_operation(self, event: Event, now: float) -> None:
        effects = self._operation.handle(event, now) if self._operation else None
        if effects is not None:
            self._add(*effects)
        elif isinstance(event, SmashedDataReceived | ClientGradientReceived | EvaluationAnswered):
            self._add(ReportIgnored(event.client, event.exchange))

    def _advance(self, now: float) -> None:
        """Begin operations until one is in progress, clients are missing or the job is finished."""
        while not self._finished and (self._operation is None or self._operation.done):
            just_drawn = isinstance(self._operation, Drawing) and self._operation.completed
            if self._operation:
                self._complete(self._operation)
                self._quorum.restart_wait(now)
                self._operation = None
            if checkpointing := self._next_checkpoint():
                self._begin(checkpointing, now)
            elif self._ending or self._progress.all_epochs_done:
                self._finish()
            elif self._quorum.is_met(now):
                self._begin_next(now, just_drawn=just_drawn)
            elif self._quorum.is_lost(now):
                self._end(*self._quorum.why_lost())
            else:
                return

    def _complete(self, operation: Operation) -> None:
        """Commit the result of an operation, and keep the model if its evaluation is the best so far."""
        before = self._progress.best
        self._progress.complete(operation)
        best = self._progress.best
        if best.value is not None and (best.value, best.step) != (before.value, before.step):
            self._add(KeepBest(best.step, best.epoch, best.metric, best.value))

    def _next_checkpoint(self) -> Operation | None:
        if self._ending and self._ending.exit_code is ExitCode.DIVERGED:
            return None  # Earlier checkpoints are worth more than one of a diverged model.
        return self._progress.next_checkpoint(ending=self._ending is not None)

    def _begin_next(self, now: float, *, just_drawn: bool) -> None:
        if not self._quorum.started:
            self._start(now)
            if self._ending or self._quorum.missing():
                return
        operation = self._progress.next_operation(just_drawn=just_drawn)
        if operation is None:
            self._end_epoch()
        else:
            self._begin(operation, now)

    def _start(self, now: float) -> None:
        """Begin to train, without the clients of the checkpoint that have not returned."""
        self._quorum.started = True
        for client in sorted(self._not_returned):
            self._lose_client(
                client, "absent", "it has not come back since the server was started again", now
            )

    def _begin(self, operation: Operation, now: float) -> None:
        self._operation = operation
        self._add(*operation.begin(now))

    def _end_epoch(self) -> None:
        number, untrained = self.epoch.number, self._progress.end_epoch()
        if untrained:
            self._add(ReportSkipped(number, untrained))

    # The end

    def _end(self, exit_code: ExitCode, message: str) -> None:
        """End the job once the operation in progress can be interrupted; the first call counts."""
        self._ending = self._ending or Finish(exit_code, message)
        if self._operation and not self._operation.done:
            self._add(*self._operation.abandon(message))

    def _finish(self) -> None:
        # Nobody is awaited if the training had ended before this process began.
        absent = self.membership.absent_in_words() if self._quorum.started else ""
        self._add(self._ending or self._progress.finish(absent))
        self._finished = True

    def _add(self, *effects: Effect) -> None:
        self._effects.extend(effects)
