"""A world without network or tensors for the coordinator: clients that answer, vanish and come back."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from pslgs.coordination import effects as do
from pslgs.coordination import events as told
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.settings import Settings
from pslgs.coordination.snapshot import CoordinatorState
from pslgs.sampling.schedule import draw_global_schedule


def settings(clients: int, **changes) -> Settings:
    batch = changes.pop("global_batch_size", 8)
    values = {
        "epochs": 2,
        "seed": 7,
        "draw_schedule": lambda holdings, rng: draw_global_schedule(holdings.remaining, batch, rng),
        "expected_clients": clients,
        "global_batch_size": batch,
        "checkpoint_every": 5,
    }
    return Settings(**(values | changes))


def drawn(effect: do.DrawSchedule) -> told.ScheduleDrawn:
    return told.ScheduleDrawn(effect.draw.draw_id, effect.draw.run())


@dataclass
class World:
    """Delivers events in an order of the test's choosing and keeps an audit of every sample.

    A client's answer takes its ``answer_seconds`` after what was delivered before.
    ``pending`` holds the answers under way; ``used`` counts, for each epoch, client and position in the
    client's order, how often it was committed.  ``held`` are the evaluation samples that the server has
    memory for, by client, and ``most_held`` is the largest sum of them.  Schedules are drawn at once, or,
    with ``draws_later``, are among the pending answers.
    """

    settings: Settings
    holdings: dict[str, int]
    evaluation: int = 0
    state: CoordinatorState | None = None
    now: float = 0.0
    sessions: int = 0
    pending: list[told.Event] = field(default_factory=list)
    effects: list[do.Effect] = field(default_factory=list)
    used: Counter = field(default_factory=Counter)
    batches: list[dict[str, int]] = field(default_factory=list)
    committed: Counter = field(default_factory=Counter)
    saved: CoordinatorState | None = None
    finished: do.Finish | None = None
    mute: set[str] = field(default_factory=set)
    unsent: set[str] = field(default_factory=set)
    busy: bool = False
    held: dict[str, int] = field(default_factory=dict)
    most_held: int = 0
    label_counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    answer_seconds: dict[str, float] = field(default_factory=dict)
    draws_later: bool = False

    def __post_init__(self):
        self.coordinator = Coordinator(self.settings, self.now, self.state)

    def tell(self, event: told.Event) -> list[do.Effect]:
        before = self.coordinator.step
        if isinstance(event, told.EvaluationScored):
            del self.held[event.client]
        effects = self.coordinator.handle(event, self.now)
        if self.coordinator.step > before:
            self._audit()
        for effect in effects:
            self._perform(effect)
            self._send(effect)
        self.effects += effects
        if effects and isinstance(effects[-1], do.DrawSchedule) and not self.draws_later:
            effects += self.tell(drawn(effects.pop()))
        return effects

    def join(self, client: str) -> list[do.Effect]:
        self.sessions += 1
        counts = self.label_counts.get(client, ())
        return self.tell(told.Joined(client, self.sessions, self.holdings[client], self.evaluation, counts))

    def join_all(self) -> None:
        for client in self.holdings:
            self.join(client)

    def leave(self, client: str) -> list[do.Effect]:
        session = self.coordinator.roster.session(client)
        assert session is not None
        of_the_server = (told.EvaluationScored,)
        self.pending = [
            event
            for event in self.pending
            if isinstance(event, of_the_server) or getattr(event, "client", None) != client
        ]
        return self.tell(told.Left(client, session, "its stream broke"))

    def tick(self, seconds: float) -> list[do.Effect]:
        """Let time pass, with a tick a second or more often."""
        effects, end = [], self.now + seconds
        while True:
            self.now = min(end, self.now + 1.0)
            effects += self.tell(told.Tick())
            if self.now >= end:
                return effects

    def deliver(self, index: int = 0) -> list[do.Effect]:
        event = self.pending.pop(index)
        self.now += self.answer_seconds.get(getattr(event, "client", ""), 0.0)
        return self.tell(event)

    def run(self, rng: np.random.Generator | None = None, limit: int = 100_000) -> None:
        """Deliver what is pending, in random order if ``rng`` is given, until nothing is."""
        for _ in range(limit):
            if not self.pending:
                return
            self.deliver(int(rng.integers(len(self.pending))) if rng else 0)
        raise AssertionError("the run does not end")

    def of(self, kind: type) -> list:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def _audit(self) -> None:
        update = self.of(do.ApplyUpdate)[-1]
        self.batches.append({share.client: share.samples for share in update.shares})
        for share in update.shares:
            for position in range(share.offset, share.offset + share.samples):
                self.used[update.epoch, share.client, position] += 1

    def _send(self, effect: do.Effect) -> None:
        """Say that requests are sent, but to the ``unsent`` clients; while ``busy``, none is even ready."""
        if not isinstance(effect, do.OrderForward | do.SendCutGradients | do.OrderEvaluation) or self.busy:
            return
        shares = effect.shares if isinstance(effect, do.SendCutGradients) else (effect.share,)
        sent = [told.RequestSent(s.client, effect.ticket) for s in shares if s.client not in self.unsent]
        for event in (told.RequestsReady(effect.ticket), *sent):
            assert self.coordinator.handle(event, self.now) == []

    def _perform(self, effect: do.Effect) -> None:
        match effect:
            case do.DrawSchedule() if self.draws_later:
                self.pending.append(drawn(effect))
            case do.OrderForward(ticket, _, share, _):
                self._answer(share.client, told.SmashedDataReceived(share.client, ticket))
            case do.RunServerStep(ticket):
                self.pending.append(told.ServerStepDone(ticket))
            case do.SendCutGradients(ticket, shares):
                for share in shares:
                    self._answer(share.client, told.ClientGradientReceived(share.client, ticket))
            case do.ApplyUpdate(ticket):
                self.pending.append(told.UpdateDone(ticket))
            case do.EvaluateAtServer(ticket):
                self.pending.append(told.ServerEvaluationDone(ticket))
            case do.SaveCheckpoint():
                self.saved = self.coordinator.state(self.now)
                self.pending.append(told.CheckpointDone())
            case do.Finish():
                assert self.finished is None
                self.finished = effect
            case _:
                self._perform_evaluation(effect)

    def _perform_evaluation(self, effect: do.Effect) -> None:
        match effect:
            case do.OrderEvaluation(ticket, share):
                assert share.client not in self.held
                self.held[share.client] = share.samples
                self.most_held = max(self.most_held, sum(self.held.values()))
                self._answer(share.client, told.EvaluationAnswered(share.client, ticket))
            case do.ScoreEvaluation(ticket, client):
                self.pending.append(told.EvaluationScored(client, ticket))
            case do.DropEvaluation(_, client):
                del self.held[client]

    def _answer(self, client: str, event: told.Event) -> None:
        if client not in self.mute:
            self.pending.append(event)
