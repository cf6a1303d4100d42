"""A queue of jobs to reconcile: one worker for each job at a time, with delays and back-off."""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Generic, TypeVar

from pslgs_operator.kube_client import ConflictError, RetryableError

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often a key may be taken; all in seconds.

    Attributes:
        spacing: Between two starts of one key, so that a burst of events is one reconcile.
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
class DelayQueue(Generic[K]):
    """Keys with the times at which they are due; whoever takes one has to say when it is done.

    All times are seconds of one clock that never goes back, and are given by the caller.
    """

    pace: RateLimit = field(default_factory=RateLimit)
    _due: dict[K, float] = field(default_factory=dict)
    _busy: set[K] = field(default_factory=set)
    _started: dict[K, float] = field(default_factory=dict)
    _failures: dict[K, int] = field(default_factory=dict)
    _not_before: dict[K, float] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _pushes: int = 0  # breaks ties in the heap, in the order of coming

    def add(self, key: K, at: float) -> None:
        """Have ``key`` taken at that time, or sooner if it is wanted sooner already."""
        spaced = self._started.get(key, float("-inf")) + self.pace.spacing
        at = max(at, spaced, self._not_before.get(key, at))
        if at < self._due.get(key, float("inf")):
            self._due[key] = at
            self._push(key)

    def get(self, now: float) -> K | None:
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
        """Record that work on ``key`` succeeded, and when it is due next; None if only on demand."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._release(key, at)

    def add_rate_limited(self, key: K, now: float, retry_after: float = 0.0) -> None:
        """Record that work on ``key`` failed; it is tried again, later with each failure in a row.

        The delay is at least ``retry_after``, even if the key is added meanwhile.
        """
        self._failures[key] = self._failures.get(key, 0) + 1
        self._not_before[key] = now + retry_after
        self._release(key, now + max(retry_after, self.pace.after(self._failures[key])))

    def forget(self, key: K) -> None:
        """Forget ``key``, which does not exist any more."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
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

    def depth(self, now: float) -> int:
        """Count the keys that are due and have not been taken yet."""
        return sum(at <= now for at in self._due.values())

    def _release(self, key: K, at: float | None) -> None:
        self._busy.discard(key)
        if key in self._due:
            self._due[key] = max(self._due[key], self._not_before.get(key, 0.0))
            self._push(key)
        if at is not None:
            self.add(key, at)

    def _push(self, key: K) -> None:
        self._pushes += 1
        heapq.heappush(self._heap, (self._due[key], self._pushes, key))


_log = logging.getLogger(__name__)

Work = Callable[[K], Awaitable[timedelta | None]]
"""Does what a key needs, and returns after what time to do so again; None once the key does not exist."""


class WorkQueue(Generic[K]):
    """Calls ``work`` for keys that were added: for one key never twice at once, ``workers`` together.

    A call that takes longer than ``limit`` is cancelled and counts as a failure, so that a key whose work
    hangs gives its worker back.
    """

    def __init__(
        self,
        work: Work[K],
        *,
        workers: int = 256,
        limit: timedelta = timedelta(minutes=3),
        pace: RateLimit | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._work = work
        self._clock = clock
        self._limit = limit.total_seconds()
        self._schedule: DelayQueue[K] = DelayQueue(pace or RateLimit())
        self._free = asyncio.Semaphore(workers)
        self._changed = asyncio.Event()

    def add(self, key: K, delay: timedelta = timedelta(0)) -> None:
        """Work on ``key`` after ``delay``, or sooner if that is planned already."""
        self._schedule.add(key, self._clock() + delay.total_seconds())
        self._changed.set()

    def depth(self) -> int:
        """Count the keys that wait for a worker."""
        return self._schedule.depth(self._clock())

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._free.acquire()
                key = await self._next()
                tasks.create_task(self._attend(key), name=f"reconcile {key}")

    async def _next(self) -> K:
        while (key := self._schedule.get(self._clock())) is None:
            due = self._schedule.next_due()
            self._changed.clear()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return key

    async def _attend(self, key: K) -> None:
        try:
            again = await self._work_within_limit(key)
        except ConflictError as conflict:
            _log.info("%s is reconciled again: %s", key, conflict)
            self._schedule.add_rate_limited(key, self._clock())
        except RetryableError as trouble:
            _log.warning("%s will be tried again: %s", key, trouble)
            wait = (trouble.retry_after or timedelta(0)).total_seconds()
            self._schedule.add_rate_limited(key, self._clock(), wait)
        except Exception:  # noqa: BLE001 - a mistake of ours about one job must not stop the other jobs
            _log.exception("%s failed and will be tried again", key)
            self._schedule.add_rate_limited(key, self._clock())
        else:
            if again is None:
                self._schedule.forget(key)
            else:
                self._schedule.done(key, self._clock() + again.total_seconds())
        finally:
            self._free.release()
            self._changed.set()

    async def _work_within_limit(self, key: K) -> timedelta | None:
        limit = asyncio.timeout(self._limit)
        try:
            async with limit:
                return await self._work(key)
        except TimeoutError as error:
            if limit.expired():
                raise RetryableError(f"it took longer than {self._limit:g} s") from error
            raise
