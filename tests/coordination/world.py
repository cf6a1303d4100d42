"""A world without network or tensors for the coordinator: clients that answer, vanish and come back."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.settings import Settings
from pslgs.coordination.state import CoordinatorState
from pslgs.sampling.schedule import draw_global_schedule
from pslgs.simulation.event_simulator import replies


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


def drawn(effect: messages.DrawSchedule) -> messages.ScheduleDrawn:
    return messages.ScheduleDrawn(effect.draw.draw_id, effect.draw.run())


@dataclass
class World:
    """Delivers events in an order of the test's choosing and keeps an audit of every sample.

    A client's answer takes its ``answer_seconds`` after what was delivered before.
    ``pending`` holds the answers under way; ``used`` counts, for each epoch, client and position in the
    client's order, how often it was committed.  ``held`` are the evaluation samples that the server has
    memory for, by client, and ``most_held`` is the largest sum of them.  Schedules are drawn at once, or,
    with ``draws_later``, are among the pending answers.  ``values`` has the chosen metric's value by epoch.
    """

    settings: Settings
    holdings: dict[str, int]
    evaluation: int = 0
    state: CoordinatorState | None = None
    now: float = 0.0
    sessions: int = 0
    pending: list[messages.Event] = field(default_factory=list)
    effects: list[messages.Effect] = field(default_factory=list)
    used: Counter = field(default_factory=Counter)
    batches: list[dict[str, int]] = field(default_factory=list)
    committed: Counter = field(default_factory=Counter)
    saved: CoordinatorState | None = None
    finished: messages.Finish | None = None
    mute: set[str] = field(default_factory=set)
    unsent: set[str] = field(default_factory=set)
    busy: bool = False
    held: dict[str, int] = field(default_factory=dict)
    most_held: int = 0
    label_counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    answer_seconds: dict[str, float] = field(default_factory=dict)
    draws_later: bool = False
    values: dict[int, float] = field(default_factory=dict)

    def __post_init__(self):
        self.coordinator = Coordinator(self.settings, self.now, self.state)

    def post(self, event: messages.Event) -> list[messages.Effect]:
        before = self.coordinator.step
        if isinstance(event, messages.EvaluationScored):
            del self.held[event.client]
        effects = self.coordinator.handle(event, self.now)
        if self.coordinator.step > before:
            self._audit()
        for effect in effects:
            self._perform(effect)
            self._send(effect)
        self.effects += effects
        if effects and isinstance(effects[-1], messages.DrawSchedule) and not self.draws_later:
            effects += self.post(drawn(effects.pop()))
        return effects

    def join(self, client: str) -> list[messages.Effect]:
        self.sessions += 1
        counts = self.label_counts.get(client, ())
        return self.post(
            messages.Joined(client, self.sessions, self.holdings[client], self.evaluation, counts)
        )

    def join_all(self) -> None:
        for client in self.holdings:
            self.join(client)

    def leave(self, client: str) -> list[messages.Effect]:
        session = self.coordinator.membership.session(client)
        assert session is not None
        of_the_server = (messages.EvaluationScored,)
        self.pending = [
            event
            for event in self.pending
            if isinstance(event, of_the_server) or getattr(event, "client", None) != client
        ]
        return self.post(messages.Left(client, session, "its stream broke"))

    def tick(self, seconds: float) -> list[messages.Effect]:
        """Let time pass, with a tick a second or more often."""
        effects, end = [], self.now + seconds
        while True:
            self.now = min(end, self.now + 1.0)
            effects += self.post(messages.Tick())
            if self.now >= end:
                return effects

    def deliver(self, index: int = 0) -> list[messages.Effect]:
        event = self.pending.pop(index)
        self.now += self.answer_seconds.get(getattr(event, "client", ""), 0.0)
        return self.post(event)

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
        update = self.of(messages.ApplyUpdate)[-1]
        self.batches.append({local_batch.client: local_batch.samples for local_batch in update.local_batches})
        for local_batch in update.local_batches:
            for position in range(local_batch.offset, local_batch.offset + local_batch.samples):
                self.used[update.epoch, local_batch.client, position] += 1

    def _send(self, effect: messages.Effect) -> None:
        """Say that requests are sent, but to the ``unsent`` clients; while ``busy``, none is even ready."""
        if (
            not isinstance(
                effect, messages.OrderForward | messages.SendCutGradients | messages.OrderEvaluation
            )
            or self.busy
        ):
            return
        local_batches = (
            effect.local_batches if isinstance(effect, messages.SendCutGradients) else (effect.local_batch,)
        )
        sent = [
            messages.RequestSent(s.client, effect.exchange)
            for s in local_batches
            if s.client not in self.unsent
        ]
        for event in (messages.RequestsReady(effect.exchange), *sent):
            assert self.coordinator.handle(event, self.now) == []

    def _perform(self, effect: messages.Effect) -> None:
        match effect:
            case messages.DrawSchedule() if self.draws_later:
                self.pending.append(drawn(effect))
            case messages.SaveCheckpoint():
                self.saved = self.coordinator.state(self.now)
            case messages.Finish():
                assert self.finished is None
                self.finished = effect
            case messages.OrderEvaluation(_, local_batch):
                assert local_batch.client not in self.held
                self.held[local_batch.client] = local_batch.samples
                self.most_held = max(self.most_held, sum(self.held.values()))
            case messages.DropEvaluation(_, client):
                del self.held[client]
        muted = () if isinstance(effect, messages.ScoreEvaluation) else self.mute  # the server answers that
        value = self.values.get(getattr(effect, "epoch", 0))
        answers = replies(effect, value)
        self.pending += [event for event in answers if getattr(event, "client", None) not in muted]
