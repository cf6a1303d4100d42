"""What must hold whatever happens: checked after every event that the coordinator handles."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fault_simulation.arithmetic import INITIAL, Weights, centralized_step
from fault_simulation.scenario import Kind, Scenario
from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.evaluation import RANGES_AT_ONCE
from pslgs.coordination.operation import Phase
from pslgs.coordination.state import CoordinatorState
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnHostile, OnLostClient, OnNonFinite


class InvariantError(AssertionError):
    """Something happened that must never happen."""


def require(condition: bool, problem: str, *values: object) -> None:  # noqa: FBT001 - as assert
    """Raise `InvariantError` unless a condition holds; ``values`` are for the braces in ``problem``."""
    if not condition:
        raise InvariantError(problem.format(*values))


@dataclass(slots=True)
class Ledger:
    """What is committed, as a centralized training would have it.

    A checkpoint carries a copy, so that a server that goes back to it goes back here as well.

    Attributes:
        step: Steps committed.
        epoch: The epoch in progress.
        used: Client -> samples that it has contributed in this epoch, those of skipped steps included.
        skipped: Client -> samples of skipped steps in this epoch.
        changed: Clients that came back in this epoch with other samples; what they have sent still counts.
        weights: Weights of the centralized training.
        evaluated: Step and epoch of the last evaluation.
    """

    step: int = 0
    epoch: int = 1
    used: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    weights: Weights = INITIAL
    evaluated: tuple[int, int] = (0, 0)

    def copy(self) -> "Ledger":
        """Return a copy that shares nothing that changes."""
        return replace(self, used=dict(self.used), skipped=dict(self.skipped), changed=set(self.changed))


class Audit:
    """Compares what the coordinator does with what it must do.

    Attributes:
        ledger: What is committed.
        started_without: Whether a training began at its first step without one of the expected clients.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.ledger = Ledger()
        self.started_without = False
        self._scenario = scenario
        self._applied: messages.ApplyUpdate | None = None
        self._in_progress: messages.ExchangeId | None = None
        self._orders: list[messages.LocalBatch] = []

    def begin(self, ledger: Ledger) -> None:
        """Begin again where a server begins: at a checkpoint or at the first step."""
        self.ledger = ledger
        self._applied = self._in_progress = None

    def before(self, event: messages.Event, coordinator: Coordinator) -> None:
        """Note what an event changes that the coordinator will handle."""
        if isinstance(event, messages.ServerEvaluationDone | messages.EvaluationConcluded):
            self.ledger.evaluated = event.exchange.step, self.ledger.epoch
        if isinstance(event, messages.Joined) and event.client in coordinator.membership:
            held = coordinator.membership.member(event.client).samples
            if held != event.samples:
                self.ledger.used[event.client] = max(held, event.samples)
                self.ledger.changed.add(event.client)

    def after(
        self, effects: Sequence[messages.Effect], coordinator: Coordinator, weights: Weights, now: float
    ) -> None:
        """Check the effects of an event, before they are carried out.

        Raises:
            InvariantError: something must not happen.
        """
        if coordinator.step != self.ledger.step:
            self._commit(coordinator, weights)
        for number, effect in enumerate(effects):
            match effect:
                case messages.OrderForward():
                    self._order(effect, coordinator)
                case messages.RunServerStep() | messages.SendCutGradients() | messages.ApplyUpdate():
                    self._go_on(effect)
                case messages.AbandonAttempt():
                    self._abandon(effect)
                case messages.Finish():
                    require(number == len(effects) - 1, "{} after the end", effects[number + 1 :])
                case _:
                    self._check_clients(effect, coordinator, now)
        reports = [effect for effect in effects if isinstance(effect, messages.ReportSkipped)]
        if coordinator.epoch.number != self.ledger.epoch:
            self._end_epoch(coordinator, reports)
        else:
            require(not reports, "epoch {} is reported and goes on", self.ledger.epoch)

    def _check_clients(self, effect: messages.Effect, coordinator: Coordinator, now: float) -> None:
        membership = coordinator.membership
        match effect:
            case messages.DrawSchedule() if self.ledger.step == 0:
                expected = self._scenario.settings.expected_clients
                self.started_without |= membership.live_count < expected
            case messages.ReportLost(client, "timeout"):
                require(self._is_slow(client, now), "{} is timed out, and nothing held it up", client)
            case messages.EndSession(client, session, _, cause):
                ended = cause is EndCause.REPLACED or membership.session(client) != session
                require(ended, "{} is live in the session that was ended", client)

    def _is_slow(self, client: str, now: float) -> bool:
        """Return whether a fault explains that a client did not answer in time."""
        faults = self._scenario.faults
        stalled = sum(fault.seconds for fault in faults if fault.kind is Kind.SERVER_STALLS)
        later = 3 * self._scenario.settings.client_timeout + stalled
        return any(
            fault.client == client
            and fault.kind in _HOLD_UP
            and fault.at <= now <= fault.at + fault.seconds + later
            for fault in faults
        )

    def _order(self, order: messages.OrderForward, coordinator: Coordinator) -> None:
        exchange, epoch, local_batch = order.exchange, order.epoch, order.local_batch
        if exchange != self._in_progress:
            require(
                self._in_progress is None, "{} begins while {} is in progress", exchange, self._in_progress
            )
            require(exchange.step == self.ledger.step + 1, "{} after step {}", exchange, self.ledger.step)
            self._in_progress, self._orders = exchange, []
        # The epoch of the order may be the next one, which begins with this event.
        used = self.ledger.used.get(local_batch.client, 0) if epoch == self.ledger.epoch else 0
        require(local_batch.offset == used, "{} of epoch {}, after {} samples", local_batch, epoch, used)
        member = coordinator.membership.member(local_batch.client)
        require(member.session == local_batch.session, "{} to a client in {}", local_batch, member.session)
        require(0 < local_batch.samples <= member.samples - used, "{} of {}", local_batch, member.samples)
        names = [each.client for each in self._orders]
        require(local_batch.client not in names, "{} has two local batches", local_batch.client)
        self._orders.append(local_batch)

    def _go_on(
        self, effect: messages.RunServerStep | messages.SendCutGradients | messages.ApplyUpdate
    ) -> None:
        require(effect.exchange == self._in_progress, "{} is of no attempt in progress", effect)
        require(list(effect.local_batches) == self._orders, "{} is not what was ordered", effect)
        if isinstance(effect, messages.ApplyUpdate):
            require(self._applied is None, "{} while another update is applied", effect)
            self._applied = effect

    def _abandon(self, effect: messages.AbandonAttempt) -> None:
        require(effect.exchange == self._in_progress, "{} is of no attempt in progress", effect)
        require(self._applied is None or effect.kind in {"non_finite", "diverged"}, "{} is applied", effect)
        self._applied = self._in_progress = None
        if effect.kind == "non_finite" and self._scenario.settings.on_non_finite is OnNonFinite.SKIP_STEP:
            self._use(effect.local_batches)
            for each in effect.local_batches:
                self.ledger.skipped[each.client] = self.ledger.skipped.get(each.client, 0) + each.samples

    def _commit(self, coordinator: Coordinator, weights: Weights) -> None:
        """Check a step that is committed, against the same step on one machine."""
        update, ledger = self._applied, self.ledger
        require(update is not None, "step {} is committed and no update was applied", coordinator.step)
        if update is None:
            return
        require(
            coordinator.step == ledger.step + 1 == update.exchange.step, "{} follows {}", update, ledger.step
        )
        require(update.epoch == ledger.epoch, "{} in epoch {}", update, ledger.epoch)
        batches = [(each.client, each.offset, each.samples) for each in update.local_batches]
        ledger.weights = centralized_step(ledger.weights, update.epoch, batches)
        require(weights == ledger.weights, "{} after {}, but centralized {}", weights, update, ledger.weights)
        self._use(update.local_batches)
        ledger.step += 1
        self._applied = self._in_progress = None

    def _use(self, local_batches: Sequence[messages.LocalBatch]) -> None:
        for each in local_batches:
            before = self.ledger.used.get(each.client, 0)
            in_order = each.offset == before or each.client in self.ledger.changed
            require(in_order, "{} is used after {} samples", each, before)
            self.ledger.used[each.client] = before + each.samples

    def _end_epoch(self, coordinator: Coordinator, reports: Sequence[messages.ReportSkipped]) -> None:
        """Check that every sample was used, but for those of lost clients and of skipped steps."""
        ledger, membership = self.ledger, coordinator.membership
        require([each.epoch for each in reports] in ([], [ledger.epoch]), "{} in {}", reports, ledger.epoch)
        reported = reports[0].samples if reports else {}
        require(coordinator.epoch.number == ledger.epoch + 1, "epoch {} is followed by another", ledger.epoch)
        for client, held in membership.samples().items():
            left = held - ledger.used.get(client, 0)
            skipped = ledger.skipped.get(client, 0)
            unused = max(0, left) + skipped
            told = reported.get(client, 0)
            require(
                told == unused,
                "{}: {} samples are reported of {} that were not trained",
                client,
                told,
                unused,
            )
            live = membership.session(client) is not None
            require(not live or left <= 0, "{} is there, but {} samples were not used", client, left)
        settings = self._scenario.settings
        due = ledger.epoch % settings.evaluate_every == 0 or ledger.epoch == settings.epochs
        if due and settings.evaluate_at is not None:
            now = ledger.step, ledger.epoch
            require(ledger.evaluated == now, "{} was evaluated instead of {}", ledger.evaluated, now)
        self.ledger = Ledger(
            ledger.step, ledger.epoch + 1, weights=ledger.weights, evaluated=ledger.evaluated
        )


def check_round_trip(coordinator: Coordinator, scenario: Scenario, now: float) -> CoordinatorState:
    """Check that a coordinator's state survives a checkpoint; return it as read back.

    Raises:
        InvariantError: it does not.
    """
    written = json.dumps(coordinator.state(now).to_json())
    read = CoordinatorState.from_json(json.loads(written))
    restored = Coordinator(scenario.settings, now, read, coordinator.membership.label_counts())
    again = json.dumps(restored.state(now).to_json())
    require(again == written, "a checkpoint changes the state from {} to {}", written, again)
    return read


def check_memory(held: dict[str, int], scenario: Scenario) -> None:
    """Check the evaluation samples that the server has memory for.

    Raises:
        InvariantError: they are too many.
    """
    most = RANGES_AT_ONCE * scenario.settings.evaluation_range
    require(sum(held.values()) <= most, "{} are in memory, with at most {} allowed", held, most)


_HOLD_UP = {Kind.LINK_BREAKS, Kind.LINK_IS_SILENT, Kind.LINK_IS_SLOW, Kind.CLIENT_DIES, Kind.CLIENT_STALLS}
"""Faults after which a client may not answer in time."""

_HARMLESS = {
    Kind.SERVER_CRASHES,
    Kind.SERVER_STALLS,
    Kind.SERVER_STOPS,
    Kind.DISK_FAILS,
    Kind.DISK_FORGETS,
}
"""Faults of the server, after which all clients come back."""

_TEMPORARY = _HARMLESS | _HOLD_UP
"""Faults after which all clients come back, if they do not last for ever."""

_ALLOWED_ENDS: dict[ExitCode, set[Kind]] = {
    ExitCode.BAD_INPUT: {Kind.UNUSABLE, Kind.DATA_CHANGE, Kind.NEW_CLIENT},
    ExitCode.DIVERGED: {Kind.DIVERGES},
    ExitCode.NON_FINITE: {Kind.CLIENT_SENDS_NAN},
    ExitCode.HOSTILE_CLIENT: {Kind.CLIENT_REPEATS},
    ExitCode.CLIENT_LOST: set(Kind) - _HARMLESS,
    ExitCode.QUORUM_LOST: set(Kind) - _HARMLESS,
}
"""Exit code -> faults of which one must have happened."""


def check_end(scenario: Scenario, finish: messages.Finish, coordinator: Coordinator) -> None:
    """Check that a job ended as it may.

    Raises:
        InvariantError: it ended for no reason, or finished without having trained all of its epochs.
    """
    kinds = {fault.kind for fault in scenario.faults}
    settings = scenario.settings
    match finish.exit_code:
        case ExitCode.FINISHED:
            done = coordinator.epoch.number > settings.epochs or finish.early
            require(done, "{} in epoch {}", finish, coordinator.epoch.number)
            require(not finish.early or settings.comparison.patience is not None, "{}", finish)
        case ExitCode.DEADLINE_EXCEEDED:
            require(settings.deadline is not None, "{}", finish)
        case code:
            require(bool(kinds & _ALLOWED_ENDS.get(code, set())), "{}, for no reason", finish)
            fails = settings.on_lost is OnLostClient.FAIL
            hostile = settings.on_hostile is not OnHostile.FAIL
            require(code is not ExitCode.HOSTILE_CLIENT or not hostile, "{}", finish)
            require(code is not ExitCode.CLIENT_LOST or fails, "{}, which the job does not ask for", finish)
    require(coordinator.phase is Phase.FINISHED, "{} in the phase {}", finish, coordinator.phase)


def resumes_exactly(scenario: Scenario) -> bool:
    """Return whether a job promises the weights of an undisturbed run in spite of its faults.

    It does so for faults of the server, and with ``onLostClient: Wait`` for the loss of clients as well, if
    no response times decide what is drawn.
    """
    strays = scenario.settings.uses_client_stats and scenario.sampling.latent_dirichlet.delay_weight > 0
    waits = scenario.settings.on_lost is OnLostClient.WAIT
    harmless = _TEMPORARY if waits else _HARMLESS
    return not strays and all(fault.kind in harmless for fault in scenario.faults)
