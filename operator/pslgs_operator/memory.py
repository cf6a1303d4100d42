"""What is remembered of a job from one look to the next, and may be lost when the operator restarts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pslgs_operator.observed import Heartbeat, Refusal, Trouble

_FIRST_PAUSE: Final = timedelta(seconds=15)
_LONGEST_PAUSE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Held:
    """Something that was refused so many times in a row, and is not tried again before ``until``."""

    refusal: Refusal
    times: int
    until: datetime


@dataclass(slots=True)
class Memory:
    """One job's.

    Attributes:
        uid: Of the job; another job of the same name is remembered anew.
        generation: What was refused to one is tried at once for the next.
        pod: Name of the server's pod that was asked last.
        asked: When.
        heartbeat: What it answered last.
        complaints: What Kubernetes said of children that don't start, by name.
        inquired: When it was asked for that.
        held: What was refused, by lane.
        events: Events that are still to be posted, oldest first.
    """

    uid: str
    generation: int
    pod: str = ""
    asked: datetime | None = None
    heartbeat: Heartbeat | None = None
    complaints: Mapping[str, Trouble] = field(default_factory=dict)
    inquired: datetime | None = None
    held: dict[str, Held] = field(default_factory=dict)
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def see(self, generation: int) -> None:
        """Take note of the job's generation."""
        if generation != self.generation:
            self.generation = generation
            self.held.clear()

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was refused at the last look, in an order that doesn't depend on who answered first."""
        return tuple(self.held[lane].refusal for lane in sorted(self.held))

    def not_yet(self, now: datetime) -> dict[str, Refusal]:
        """What is not to be tried again yet, by lane."""
        return {lane: held.refusal for lane, held in self.held.items() if now < held.until}

    def hold(self, refusals: Mapping[str, Refusal], now: datetime) -> None:
        """Remember only what was refused now; the pause before the next attempt doubles each time."""
        self.held = {lane: self._again(lane, refusal, now) for lane, refusal in refusals.items()}

    def next_attempt(self, now: datetime) -> timedelta | None:
        """After what time something that was refused can be tried again."""
        soonest = min((held.until for held in self.held.values()), default=None)
        return None if soonest is None else max(soonest - now, timedelta(0))

    def _again(self, lane: str, refusal: Refusal, now: datetime) -> Held:
        before = self.held.get(lane)
        if before is not None and now < before.until:
            return before
        times = before.times + 1 if before else 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(times - 1, 16))
        return Held(refusal, times, now + pause)
