"""When each job is looked at next: never twice at once, not too often, and seldom while it fails."""

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a key may be taken; all in seconds.

    Attributes:
        spacing: Between two starts of one key, so that a burst of events is one look.
        backoff: After a first failure; it doubles with each further one.
        longest_backoff: What it doubles up to.
    """

    spacing: float = 0.5
    backoff: float = 1.0
    longest_backoff: float = 60.0

    def after(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        return min(self.longest_backoff, self.backoff * 2.0 ** min(failures - 1, 32))


@dataclass(slots=True)
class Schedule(Generic[K]):
    """Keys with the times at which they are due; whoever takes one has to say when it is done.

    All times are seconds of one clock that never goes back, and are told by the caller.
    """

    pace: Pace = field(default_factory=Pace)
    _due: dict[K, float] = field(default_factory=dict)
    _busy: set[K] = field(default_factory=set)
    _started: dict[K, float] = field(default_factory=dict)
    _failures: dict[K, int] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _pushes: int = 0  # breaks ties in the heap, in the order of coming

    def add(self, key: K, at: float) -> None:
        """Have ``key`` taken at that time, or sooner if it is wanted sooner already."""
        soonest = self._started.get(key, float("-inf")) + self.pace.spacing
        at = max(at, soonest)
        if at < self._due.get(key, float("inf")):
            self._due[key] = at
            self._push(key)

    def take(self, now: float) -> K | None:
        """Take the key that has been due for longest; None if none is."""
        at = self.next_due()
        if at is None or at > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._due[key]
        self._busy.add(key)
        self._started[key] = now
        return key

    def done(self, key: K, at: float | None = None) -> None:
        """Say that work on ``key`` went well, and when it is wanted next; None if only on demand."""
        self._failures.pop(key, None)
        self._release(key, at)

    def failed(self, key: K, now: float) -> None:
        """Say that work on ``key`` failed; it is tried again, later with each failure in a row."""
        self._failures[key] = self._failures.get(key, 0) + 1
        self._release(key, now + self.pace.after(self._failures[key]))

    def gone(self, key: K) -> None:
        """Say that ``key`` exists no more, and forget what was remembered of it."""
        self._failures.pop(key, None)
        self._release(key, None)
        if key not in self._due:
            self._started.pop(key, None)

    def next_due(self) -> float | None:
        """When the next key can be taken; None if none is waiting."""
        while self._heap:
            at, _, key = self._heap[0]
            if key not in self._busy and self._due.get(key) == at:
                return at
            heapq.heappop(self._heap)  # overtaken by a sooner time, or pushed again when it is released
        return None

    def _release(self, key: K, at: float | None) -> None:
        self._busy.discard(key)
        if key in self._due:
            self._push(key)
        if at is not None:
            self.add(key, at)

    def _push(self, key: K) -> None:
        self._pushes += 1
        heapq.heappush(self._heap, (self._due[key], self._pushes, key))
