"""Transient state of a job between two reconciles; it may be lost when the operator restarts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pslgs_operator.snapshot import Problem, Rejection, ServerReply

_FIRST_PAUSE: Final = timedelta(seconds=15)
_LONGEST_PAUSE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Something that was refused so many times in a row, and is not tried again before ``until``."""

    refusal: Rejection
    times: int
    until: datetime


@dataclass(slots=True)
class TransientState:
    """One job's.

    Attributes:
        uid: Of the job; another job of the same name is remembered anew.
        generation: What was refused to one is tried at once for the next.
        pod: Name of the server's pod that was asked last.
        asked: When.
        server_reply: What it answered last.
        complaints: What Kubernetes said of children that don't start, by name.
        inquired: When it was asked for that.
        podless: Name of each child Job without a pod -> since when; see `timeouts.podless_since`.
        held: What was refused, by lane.
    """

    uid: str
    generation: int
    pod: str = ""
    asked: datetime | None = None
    server_reply: ServerReply | None = None
    complaints: Mapping[str, Problem] = field(default_factory=dict)
    inquired: datetime | None = None
    podless: Mapping[str, datetime] = field(default_factory=dict)
    held: dict[str, Backoff] = field(default_factory=dict)

    def see(self, generation: int) -> None:
        """Take note of the job's generation."""
        if generation != self.generation:
            self.generation = generation
            self.held.clear()

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """What was refused at the last look, in an order that doesn't depend on who answered first."""
        return tuple(self.held[lane].refusal for lane in sorted(self.held))

    def not_yet(self, now: datetime) -> dict[str, Rejection]:
        """What is not to be tried again yet, by lane."""
        return {lane: held.refusal for lane, held in self.held.items() if now < held.until}

    def hold(self, rejections: Mapping[str, Rejection], now: datetime) -> None:
        """Remember only what was refused now; the pause before the next attempt doubles each time."""
        self.held = {lane: self._again(lane, refusal, now) for lane, refusal in rejections.items()}

    def next_attempt(self, now: datetime) -> timedelta | None:
        """After what time something that was refused can be tried again."""
        soonest = min((held.until for held in self.held.values()), default=None)
        return None if soonest is None else max(soonest - now, timedelta(0))

    def _again(self, lane: str, refusal: Rejection, now: datetime) -> Backoff:
        before = self.held.get(lane)
        if before is not None and now < before.until:
            return before
        times = before.times + 1 if before else 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(times - 1, 16))
        return Backoff(refusal, times, now + pause)
