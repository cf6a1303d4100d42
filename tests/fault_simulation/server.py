"""A simulated server: the real coordinator, and shells that do what the real ones do, in virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import isfinite, nan
from typing import Any

from fault_simulation import arithmetic
from fault_simulation.arithmetic import INITIAL, Weights
from fault_simulation.audit import Audit, Ledger, check_memory, check_round_trip, require
from fault_simulation.clients import RESTART_SECONDS, Answer, Connection, SimulatedClient
from fault_simulation.scenario import Scenario
from fault_simulation.world import Action, Clock, Process
from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.rejoin_backoff import RejoinBackoff
from pslgs.coordination.schedule_draw import LabelCounts
from pslgs.coordination.state import CoordinatorState
from pslgs.spec.exit_codes import ExitCode

SERVER_SECONDS = 0.02
"""Mean seconds of the server part, of an update, of a draw and of a range that is scored."""

DISK_SECONDS = 0.1
"""Mean seconds in which a checkpoint is written."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint, with the ledger of what it stands for."""

    step: int
    state: CoordinatorState
    label_counts: LabelCounts
    weights: Weights
    ledger: Ledger


@dataclass(slots=True)
class Disk:
    """The checkpoints of a run, oldest first; they outlive the server's process.

    Attributes:
        keep: How many are kept.
        stored: The checkpoints.
        fails_until: Time until which none can be written.
    """

    keep: int
    stored: list[Stored] = field(default_factory=list)
    fails_until: float = 0.0

    def save(self, checkpoint: Stored) -> None:
        """Write a checkpoint in place of those of its step and of later ones, and drop surplus ones."""
        older = [each for each in self.stored if each.step < checkpoint.step]
        self.stored = [*older, checkpoint][-self.keep :]

    def forget(self) -> None:
        """Damage the newest checkpoint, unless it is the only one."""
        if len(self.stored) > 1:
            self.stored.pop()


@dataclass(slots=True)
class Attempt:
    """What the server has received for an attempt at a step, and computed from it."""

    exchange: messages.ExchangeId
    local_batches: list[messages.LocalBatch]
    smashed: dict[str, Answer] = field(default_factory=dict)
    gradients: dict[str, Answer] = field(default_factory=dict)
    expects_gradients: bool = False
    result: arithmetic.ServerStep | None = None
    abandoned: bool = False

    def receive(self, answer: Answer) -> bool:
        """Keep an answer; False if it came twice or was not asked for."""
        into = self.smashed if answer.targets is not None else self.gradients
        expected = answer.targets is not None or self.expects_gradients
        if not expected or answer.client in into:
            return False
        into[answer.client] = answer
        return True


class SimulatedServer(Process):
    """A server's process, from its start to its crash or its end.

    Attributes:
        finish: How it ended; None while it runs.
        running: Whether its process lives.
        crash_after: Number of effects that it still carries out; None for all.
    """

    def __init__(
        self, scenario: Scenario, clock: Clock, disk: Disk, audit: Audit, on_finish: Callable[[], None]
    ) -> None:
        """Start from the newest checkpoint."""
        super().__init__(clock)
        newest = disk.stored[-1] if disk.stored else None
        self.finish: messages.Finish | None = None
        self.running = True
        self.crash_after: int | None = None
        self.diverges = False
        self._scenario = scenario
        self._clock = clock
        self._disk = disk
        self._audit = audit
        self._on_finish = on_finish
        self._weights = newest.weights if newest else INITIAL
        self._sessions: dict[int, Connection] = {}
        self._number = 0
        self._backoff = RejoinBackoff()
        self._attempt: Attempt | None = None
        self._ranges: dict[str, int] = {}
        self._worker_free_at = 0.0
        self._perform = self._handlers()
        audit.begin(newest.ledger.copy() if newest else Ledger())
        state, counts = (newest.state, newest.label_counts) if newest else (None, None)
        self.coordinator = Coordinator(scenario.settings, clock.now, state, counts)
        self._tick()

    # Life

    def crash(self) -> None:
        """Kill the process: all streams break, and what it had in memory is gone."""
        self.running = False
        for connection in self._sessions.values():
            connection.open_at_server = False
            connection.break_(
                server_notices_after=0.0,
                client_notices_after=self._clock.about(connection.client.latency),
            )
        self._sessions.clear()

    def stop(self) -> None:
        """Ask the process to stop, as a signal does."""
        self._post(messages.StopRequested("the process was asked to stop"))

    def _tick(self) -> None:
        if self.running:
            self._post(messages.Tick())
            self._clock.at(self._clock.now + messages.TICK_SECONDS, self.when_running(self._tick), timer=True)

    # Clients

    def admit(self, client: SimulatedClient) -> Connection | float:
        """Return a stream, or the seconds after which the client may try again."""
        if not self.running or self.finish or self.is_stopped:
            return 0.0
        if self.coordinator.membership.exclusion(client.name) is not None:
            return RESTART_SECONDS
        wait = self._backoff.wait_seconds(client.name, self._clock.now)
        if wait:
            return wait
        self._note_stall(client.name)
        self._number += 1
        connection = Connection(client, self, self._number)
        self._sessions[connection.number] = connection
        self._post(client.joined(connection.number))
        return connection

    def disconnected(self, connection: Connection, reason: str) -> None:
        """Notice that a stream is broken."""
        if not self.running:
            return

        def leave() -> None:
            if connection.open_at_server:
                connection.open_at_server = False
                self._left(connection, reason)

        self.when_running(leave)()

    def receive(self, connection: Connection, answer: Answer) -> None:
        """Receive an answer, as the real step runner and evaluation runner do."""
        self.when_running(lambda: self._receive(connection, answer))()

    def report_unusable(self, client: str) -> None:
        """Receive a client's report that its data cannot be used."""
        session = self.coordinator.membership.session(client)
        self._post(messages.Unusable(client, session, "its data are damaged"))

    def _left(self, connection: Connection, reason: str, *, timed_out: bool = False) -> None:
        self._forget(connection, timed_out=timed_out)
        self._post(messages.Left(connection.client.name, connection.number, reason))

    def _forget(self, connection: Connection, *, timed_out: bool = False) -> None:
        self._sessions.pop(connection.number, None)
        client = connection.client.name
        if timed_out:
            self._backoff.record_stall(client, self._clock.now, self._scenario.settings.client_timeout)
        elif self.coordinator.membership.session(client) in {connection.number, None}:
            self._note_stall(client)
        self._backoff.record_loss(client, self._clock.now)

    def _note_stall(self, client: str) -> None:
        held_up = self.coordinator.held_up_seconds(client, self._clock.now)
        self._backoff.record_stall(client, self._clock.now, held_up)

    def _receive(self, connection: Connection, answer: Answer) -> None:
        if not self.running or not connection.open_at_server:
            return
        client, exchange, attempt = answer.client, answer.exchange, self._attempt
        if exchange.attempt == 0:
            if client in self._ranges:
                self._post(messages.EvaluationAnswered(client, exchange))
        elif attempt is not None and attempt.exchange == exchange:
            if attempt.receive(answer):
                gradient = answer.targets is None
                kind = messages.ClientGradientReceived if gradient else messages.SmashedDataReceived
                self._post(kind(client, exchange))
                if self._clock.rng.random() < 0.1:  # the coordinator itself stands duplicates as well
                    self._post(kind(client, exchange))
            else:
                connection.end(EndCause.VIOLATION)
                self._forget(connection)
                self._post(messages.Violated(client, connection.number, "it sent an answer twice"))

    # Effects

    def _post(self, event: messages.Event) -> None:
        """Pass an event to the coordinator, and carry out its effects unless the process crashes."""
        if not self.running or self.finish:
            return
        self._clock.note(event)
        self._audit.before(event, self.coordinator)
        effects = self.coordinator.handle(event, self._clock.now)
        for effect in effects:
            self._clock.note(effect, "    ")
        self._audit.after(effects, self.coordinator, self._weights, self._clock.now)
        for effect in effects:
            if self.crash_after is not None:
                if self.crash_after == 0:
                    self._clock.note("the server crashes")
                    self.crash()
                    self._on_finish()
                    return
                self.crash_after -= 1
            self._perform.get(type(effect), _do_nothing)(effect)
        check_memory(self._ranges, self._scenario)

    def _handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            messages.DrawSchedule: self._draw,
            messages.OrderForward: self._order,
            messages.RunServerStep: lambda effect: self._compute(self._run_server_step, effect),
            messages.SendCutGradients: self._send_cut_gradients,
            messages.ApplyUpdate: lambda effect: self._compute(self._apply, effect),
            messages.AbandonAttempt: self._abandon,
            messages.OrderEvaluation: self._order_range,
            messages.ScoreEvaluation: lambda effect: self._compute(self._score, effect),
            messages.DropEvaluation: lambda effect: self._ranges.pop(effect.client),
            messages.AbandonEvaluation: lambda _: self._ranges.clear(),
            messages.EvaluateAtServer: lambda effect: self._compute(self._evaluate, effect),
            messages.ConcludeEvaluation: self._conclude,
            messages.SaveCheckpoint: self._save,
            messages.EndSession: self._end_session,
            messages.Finish: self._end,
        }

    def _draw(self, effect: messages.DrawSchedule) -> None:
        def drawn() -> None:
            self._post(messages.ScheduleDrawn(effect.draw.draw_id, effect.draw.run()))

        self._clock.after(self._clock.about(SERVER_SECONDS), self.when_running(drawn))

    def _order(self, order: messages.OrderForward) -> None:
        exchange = order.exchange
        if self._attempt is None or self._attempt.exchange != exchange:
            self._attempt = Attempt(exchange, [])
            self._soon(messages.RequestsReady(exchange))
        self._attempt.local_batches.append(order.local_batch)
        a, local_batch = self._weights.a, order.local_batch
        self._request(
            exchange, local_batch, lambda client: client.forward(exchange, order.epoch, local_batch, a)
        )

    def _run_server_step(self, effect: messages.RunServerStep) -> None:
        attempt, exchange = self._attempt, effect.exchange
        if attempt is None or attempt.exchange != exchange:
            return
        answers = [attempt.smashed[each.client] for each in attempt.local_batches]
        fault = _fault("smashed data", answers)
        if fault:
            self._post(messages.NumericFaultFound(exchange, fault))
            return
        attempt.result = arithmetic.server_step(
            self._weights.b,
            [value for answer in answers for value in answer.values],
            [target for answer in answers for target in answer.targets or ()],
        )
        self._post(messages.ServerStepDone(exchange))

    def _send_cut_gradients(self, effect: messages.SendCutGradients) -> None:
        attempt, exchange = self._attempt, effect.exchange
        if attempt is None or attempt.result is None:
            raise LookupError("the server part has not run")
        attempt.expects_gradients = True
        self._soon(messages.RequestsReady(exchange))
        first = 0
        for local_batch in effect.local_batches:
            rows = attempt.result.cut_gradient[first : first + local_batch.samples]
            self._request(exchange, local_batch, _backward(exchange, rows))
            first += local_batch.samples

    def _apply(self, effect: messages.ApplyUpdate) -> None:
        attempt = self._attempt
        if attempt is None or attempt.result is None:
            raise LookupError("the server part has not run")
        answers = [attempt.gradients[each.client] for each in effect.local_batches]
        fault = _fault("gradients", answers)
        if self.diverges:
            self._weights = Weights(nan, nan)
            fault = NumericFault("the update is not finite")
        if fault:
            self._post(messages.NumericFaultFound(effect.exchange, fault))
            return
        gradients = [value for answer in answers for value in answer.values]
        self._weights = arithmetic.updated(self._weights, gradients, attempt.result.b_gradient)
        self._attempt = None
        self._post(messages.UpdateDone(effect.exchange))

    def _abandon(self, effect: messages.AbandonAttempt) -> None:
        self._attempt = None
        for local_batch in effect.local_batches:
            connection = self._sessions.get(local_batch.session)
            if connection:
                connection.to_client(_abort(connection.client, effect.exchange))

    def _order_range(self, effect: messages.OrderEvaluation) -> None:
        exchange, local_batch = effect.exchange, effect.local_batch
        require(local_batch.client not in self._ranges, "{} has a range in memory", local_batch.client)
        self._ranges[local_batch.client] = local_batch.samples
        a = self._weights.a
        self._soon(messages.RequestsReady(exchange))
        self._request(exchange, local_batch, lambda client: client.evaluate(exchange, local_batch, a))

    def _score(self, effect: messages.ScoreEvaluation) -> None:
        if self._ranges.pop(effect.client, None) is not None:
            self._post(messages.EvaluationScored(effect.client, effect.exchange))

    def _evaluate(self, effect: messages.EvaluateAtServer) -> None:
        self._post(messages.ServerEvaluationDone(effect.exchange, self._value()))

    def _conclude(self, effect: messages.ConcludeEvaluation) -> None:
        require(not self._ranges, "{} while ranges are in memory: {}", effect, self._ranges)
        concluded = messages.EvaluationConcluded(effect.exchange, self._value())
        self._in_worker(SERVER_SECONDS, lambda: self._post(concluded))

    def _value(self) -> float | None:
        """Return the chosen metric, which only the weights decide."""
        value = abs(self._weights.a) + abs(self._weights.b)
        return value if isfinite(value) else None

    def _save(self, effect: messages.SaveCheckpoint) -> None:
        """Copy the state at once, and write it later, as the real server does."""
        state = check_round_trip(self.coordinator, self._scenario, self._clock.now)
        counts, ledger = self.coordinator.membership.label_counts(), self._audit.ledger.copy()

        def write() -> None:
            if self._clock.now >= self._disk.fails_until:
                self._disk.save(Stored(effect.step, state, counts, self._weights, ledger))
            self._post(messages.CheckpointDone())

        self._in_worker(DISK_SECONDS, write)

    def _end_session(self, effect: messages.EndSession) -> None:
        connection = self._sessions.get(effect.session)
        if connection and connection.open_at_server:
            connection.end(effect.cause)
            timed_out = effect.cause is EndCause.LOST
            ended = partial(self._left, connection, "the server ended it", timed_out=timed_out)
            self._clock.after(self._clock.about(0.001), self.when_running(lambda: self.running and ended()))

    def _end(self, finish: messages.Finish) -> None:
        self.finish = finish
        interrupted = finish.exit_code is ExitCode.INTERRUPTED
        for connection in self._sessions.values():
            if not interrupted:
                connection.to_client(connection.client.finished)
        if interrupted:
            self.crash()
        self._on_finish()

    # Plumbing

    def _request(
        self,
        exchange: messages.ExchangeId,
        local_batch: messages.LocalBatch,
        handle: Callable[[SimulatedClient], None],
    ) -> None:
        connection = self._sessions.get(local_batch.session)
        if connection is None:
            return
        client = connection.client
        arrives = connection.to_client(lambda: handle(client))
        sent = messages.RequestSent(client.name, exchange)
        self._clock.at(arrives, self.when_running(lambda: self._post(sent)))

    def _soon(self, event: messages.Event) -> None:
        self._clock.after(0.0, self.when_running(lambda: self._post(event)))

    def _compute(self, work: Callable[[Any], None], effect: messages.Effect) -> None:
        self._in_worker(SERVER_SECONDS, lambda: work(effect))

    def _in_worker(self, seconds: float, work: Action) -> None:
        """Do something in the one thread that computes, after what it was given before."""
        self._worker_free_at = max(self._worker_free_at, self._clock.now) + self._clock.about(seconds)
        self._clock.at(self._worker_free_at, self.when_running(lambda: self.running and work()))


def _do_nothing(_: messages.Effect) -> None:
    """Ignore a report."""


def _backward(exchange: messages.ExchangeId, rows: list[float]) -> Callable[[SimulatedClient], None]:
    return lambda client: client.backward(exchange, rows)


def _abort(client: SimulatedClient, exchange: messages.ExchangeId) -> Action:
    return lambda: client.abort(exchange)


def _fault(kind: str, answers: list[Answer]) -> NumericFault | None:
    broken = [answer.client for answer in answers if not all(map(isfinite, answer.values))]
    return NumericFault(f"the {kind} are not finite", dict.fromkeys(broken, kind)) if broken else None
