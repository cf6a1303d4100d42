"""The coordinator: told what happened, it says what to do.  No clock, socket, thread or tensor in it."""

from collections.abc import Iterable

from pslgs.coordination.activity import Activity, Checkpointing, Drawing, Phase
from pslgs.coordination.attempt import Attempt
from pslgs.coordination.delays import Delays, DelayState
from pslgs.coordination.effects import (
    Effect,
    EndCause,
    EndSession,
    Finish,
    ReportIgnored,
    ReportJoined,
    ReportLost,
    ReportSkipped,
    Share,
)
from pslgs.coordination.epoch import Epoch
from pslgs.coordination.evaluation import ClientEvaluation, ServerEvaluation
from pslgs.coordination.events import (
    TICK_SECONDS,
    CheckpointDone,
    CheckpointRefused,
    ClientGradientReceived,
    EvaluationAnswered,
    Event,
    Joined,
    Left,
    NumericFaultFound,
    SmashedDataReceived,
    StopRequested,
    Tick,
    Ticket,
)
from pslgs.coordination.numeric_faults import NumericFault, divergence
from pslgs.coordination.quorum import lacking, may_start
from pslgs.coordination.roster import Member, Roster
from pslgs.coordination.schedule_draw import DrawResult, ScheduleDraw
from pslgs.coordination.settings import Settings
from pslgs.coordination.snapshot import CoordinatorState
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.faults import OnLostClient, OnNonFinite

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
        roster: The job's clients.
    """

    def __init__(self, settings: Settings, now: float, state: CoordinatorState | None = None) -> None:
        self.step = state.step if state else 0
        self._delays = Delays(state.delays if state else DelayState(settings.known_delays))
        self.epoch = (
            Epoch.restore(state.epoch, settings.seed, settings.draw_schedule, self._delays.known)
            if state
            else Epoch(1, settings.seed, settings.draw_schedule, self._delays.known)
        )
        self.roster = Roster(state.samples if state else None)
        self._absent = set(self.roster.samples())
        self._settings = settings
        self._planned_for: tuple[int, int] | None = None
        self._activity: Activity | None = None
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
        return self._activity.phase if self._activity else Phase.WAITING

    def state(self, now: float) -> CoordinatorState:
        """Return what a checkpoint must keep; an attempt under way is not in it."""
        active = now - self._opened_at
        return CoordinatorState(
            step=self.step,
            epoch=self.epoch.state(),
            evaluated=self._evaluated,
            samples=self.roster.samples(),
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
        return lacking(self.roster, self._settings, started=self._started)

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
                if self.roster.session(client) == session:
                    self._lose(client, "disconnected", reason, now)
            case NumericFaultFound(ticket, fault):
                self._reject(ticket, fault, now)
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
        client, session = joined.client, self.roster.session(joined.client)
        if session is not None:
            self._do(
                EndSession(
                    client, session, "a newer connection of this client took its place", EndCause.REPLACED
                )
            )
            self._lose(client, "replaced", "it connected again", now)
        returned = client in self.roster
        if returned and (held := self.roster.member(client).samples) != joined.samples:
            # Its order of this epoch was another one: no offset into it means anything until the next epoch.
            self.epoch.offsets[client] = max(held, joined.samples)
        self.roster.admit(
            client, Member(joined.samples, joined.evaluation_samples, joined.session, joined.label_counts)
        )
        self._last_join = now
        self._absent.discard(client)
        self._do(ReportJoined(client, joined.samples, returned))

    def _lose(self, client: str, kind: str, reason: str, now: float) -> None:
        self.roster.lose(client)
        self._do(ReportLost(client, kind, reason))
        if self._activity and not self._activity.done:
            self._do(*self._activity.lose(client, reason, now))
        if self._started and self._settings.on_lost is OnLostClient.FAIL:
            self._end(
                ExitCode.CLIENT_LOST,
                f"client {client} was lost ({reason}), and spec.faultTolerance.onLostClient is Fail",
            )

    # Numbers

    def _reject(self, ticket: Ticket, fault: NumericFault, now: float) -> None:
        """Give up the attempt under ``ticket``; without a client to blame, the training has diverged."""
        kind = "non_finite" if fault.clients else "diverged"
        attempt = self._activity
        abandoned = attempt.fail(ticket, kind, fault.found) if isinstance(attempt, Attempt) else []
        if not abandoned:
            return
        self._do(*abandoned)
        if not fault.clients:
            self._diverge(fault.found)
        elif self._settings.on_non_finite is OnNonFinite.SKIP_STEP:
            self.epoch.skip()
        else:
            for client, sent in sorted(fault.clients.items()):
                self._punish(client, sent, now)

    def _punish(self, client: str, sent: str, now: float) -> None:
        """Drop a client that sent ``sent``, or end the job, as the settings say."""
        self._offences += 1
        if self._settings.on_non_finite is OnNonFinite.FAIL:
            why = "spec.faultTolerance.onNonFinite is Fail"
            self._end(ExitCode.NON_FINITE, f"client {client} sent {sent}, and {why}")
            return
        reason, session = f"it sent {sent}", self.roster.session(client)
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
        for client in self._activity.overdue(now, timeout) if self._activity else ():
            session = self.roster.session(client)
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
            if self._activity:
                self._activity.forgive(delay, now)

    def _watch_patience(self, now: float) -> None:
        lacking, patience = self.lacking(), self._settings.quorum_timeout
        if lacking and now - self._waiting_since > patience:
            self._end(
                ExitCode.QUORUM_LOST,
                f"{lacking}; waited {patience:g} s (spec.faultTolerance.quorumTimeoutSeconds)",
            )

    def _ready(self, now: float) -> bool:
        if self.lacking():
            return False
        return self._started or may_start(self.roster, self._settings, now - self._last_join)

    # What is under way, and what comes next

    def _take(self, event: Event, now: float) -> None:
        effects = self._activity.take(event, now) if self._activity else None
        if effects is not None:
            self._do(*effects)
        elif isinstance(event, SmashedDataReceived | ClientGradientReceived | EvaluationAnswered):
            self._do(ReportIgnored(event.client, event.ticket))

    def _go_on(self, now: float) -> None:
        """Settle what is done and begin what comes next, until something is under way or waited for."""
        while not self._finished and (self._activity is None or self._activity.done):
            just_drawn = isinstance(self._activity, Drawing) and self._activity.completed
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
        match self._activity:
            case Attempt(completed=True) as attempt:
                self.epoch.commit()
                if self._settings.weighs_clients:
                    self._delays.note(attempt.answer_seconds)
                self.step += 1
                self._attempts = 0
            case ServerEvaluation(completed=True) | ClientEvaluation(completed=True):
                self._evaluated = True
            case Drawing(draw=draw, result=DrawResult() as result):
                self.epoch.adopt(draw, result)
                self._steps_an_epoch = self.epoch.steps_planned()
        if self._activity:
            self._waiting_since = now
        self._activity = None

    def _checkpoint_due(self) -> bool:
        new_steps = self.step - self._checkpointed_at
        if self._ending and self._ending.exit_code is ExitCode.DIVERGED:
            return False  # The model's state is not worth keeping, and the checkpoints before it are.
        over = self._ending is not None or self.epoch.number > self._settings.epochs
        return new_steps >= self._settings.checkpoint_every or (over and new_steps > 0)

    def _begin(self, activity: Activity, effects: Iterable[Effect]) -> None:
        self._activity = activity
        self._do(*effects)

    def _start(self, now: float) -> None:
        """Take the first step from now on, without those that the checkpoint knows and that are not back."""
        self._started = True
        for client in sorted(self._absent):
            self._lose(client, "absent", "it has not come back since the server was started again", now)

    def _begin_next(self, now: float, *, just_drawn: bool) -> None:
        if not self._started:
            self._start(now)
            if self._ending or self.lacking():
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
        present = self.epoch.number, self.roster.changes
        if present == self._planned_for and not just_drawn:
            return None
        live = self.roster.live()
        samples = {name: member.samples for name, member in live.items()}
        weighed = live if self._settings.weighs_clients else {}
        label_counts = {name: member.label_counts for name, member in weighed.items()}
        if not just_drawn:  # clients that came meanwhile are planned for after one step
            self._planned_for = present
        return self.epoch.plan(samples, label_counts, just_drawn=just_drawn)

    def _begin_attempt(self, now: float) -> None:
        batch_size, pooled = self._settings.global_batch_size, self.roster.pooled_samples
        if batch_size > pooled and len(self.roster) >= self._settings.expected_clients:
            self._end(
                ExitCode.BAD_INPUT,
                f"spec.sampling.globalBatchSize: is {batch_size}, but the clients hold only {pooled} samples",
            )
            return
        self._attempts += 1
        shares = tuple(
            Share(
                client,
                self.roster.member(client).open_session(),
                self.epoch.offsets.get(client, 0),
                samples,
            )
            for client, samples in self.epoch.next_batch().items()
        )
        attempt = Attempt(Ticket(self.step + 1, self._attempts), self.epoch.number, shares)
        self._begin(attempt, attempt.begin(self.epoch.next_batch(ahead=1), now))

    def _evaluation_due(self) -> bool:
        epoch = self.epoch.number
        due = epoch % self._settings.evaluate_every == 0 or epoch == self._settings.epochs
        return due and not self._evaluated and self._settings.evaluate_at is not None

    def _begin_evaluation(self, now: float) -> None:
        ticket, epoch = Ticket(self.step, 0), self.epoch.number
        if self._settings.evaluate_at is EvaluationPlace.SERVER:
            at_server = ServerEvaluation(ticket, epoch)
            self._begin(at_server, at_server.begin())
        else:
            at_clients = ClientEvaluation(
                ticket, epoch, self.roster.live(), self.roster.lost(), self._settings.evaluation_range
            )
            self._begin(at_clients, at_clients.begin(now))

    def _end_epoch(self) -> None:
        skipped = {
            client: left
            for client, held in self.roster.samples().items()
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
        if self._activity and not self._activity.done:
            self._do(*self._activity.abandon(message))

    def _conclude(self) -> None:
        trained = f"trained {self._settings.epochs} epochs, {self.step} steps"
        self._do(self._ending or Finish(ExitCode.FINISHED, trained))
        self._finished = True

    def _do(self, *effects: Effect) -> None:
        self._effects.extend(effects)
