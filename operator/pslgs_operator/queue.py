"""Works through the jobs that may need something, several at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from time import monotonic
from typing import Generic, TypeVar

from pslgs_operator.cluster import UnavailableError
from pslgs_operator.schedule import Pace, Schedule

_log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
Work = Callable[[K], Awaitable[timedelta | None]]
"""Does what a key needs, and tells after what time to look again; None once the key exists no more."""


class Queue(Generic[K]):
    """Calls ``work`` for keys that were added: for one key never twice at once, ``workers`` together."""

    def __init__(
        self,
        work: Work[K],
        *,
        workers: int = 64,
        pace: Pace | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._work = work
        self._clock = clock
        self._schedule: Schedule[K] = Schedule(pace or Pace())
        self._free = asyncio.Semaphore(workers)
        self._changed = asyncio.Event()

    def add(self, key: K, delay: timedelta = timedelta(0)) -> None:
        """Look at ``key`` after ``delay``, or sooner if that is planned already."""
        self._schedule.add(key, self._clock() + delay.total_seconds())
        self._changed.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._free.acquire()
                key = await self._next()
                tasks.create_task(self._attend(key), name=f"reconcile {key}")

    async def _next(self) -> K:
        while (key := self._schedule.take(self._clock())) is None:
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
            again = await self._work(key)
        except UnavailableError as trouble:
            _log.warning("%s will be tried again: %s", key, trouble)
            self._schedule.failed(key, self._clock())
        except Exception:  # noqa: BLE001 - a mistake of ours about one job must not stop the other jobs
            _log.exception("%s failed and will be tried again", key)
            self._schedule.failed(key, self._clock())
        else:
            if again is None:
                self._schedule.gone(key)
            else:
                self._schedule.done(key, self._clock() + again.total_seconds())
        finally:
            self._free.release()
            self._changed.set()
