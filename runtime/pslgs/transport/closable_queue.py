"""A bounded asyncio queue that can be closed with an error."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ClosableQueue(Generic[Item]):
    """Items in order from any number of tasks to any number of tasks, ``places`` of them at most.

    `asyncio.Queue` cannot be closed before Python 3.13, and a task that waits for a peer that is gone must
    be woken.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._items: deque[Item] = deque()
        self._closed: Exception | None = None
        self._putters: deque[asyncio.Future[None]] = deque()
        self._getters: deque[asyncio.Future[None]] = deque()

    async def put(self, item: Item) -> None:
        """Add ``item`` as soon as there is place; raises what the mailbox was closed with."""
        while self._closed is None and len(self._items) >= self._places:
            await _wait_in(self._putters)
        if self._closed is not None:
            raise self._closed.with_traceback(None)
        self._items.append(item)
        _wake_one(self._getters)

    async def get(self) -> Item:
        """Take the oldest item as soon as there is one; raises what an empty mailbox was closed with."""
        while not self._items:
            if self._closed is not None:
                raise self._closed.with_traceback(None)
            await _wait_in(self._getters)
        item = self._items.popleft()
        _wake_one(self._putters)
        return item

    def get_now(self, accept: Callable[[Item], bool]) -> Item | None:
        """Take the oldest item if there is one and ``accept`` says so; None otherwise."""
        if not self._items or not accept(self._items[0]):
            return None
        item = self._items.popleft()
        _wake_one(self._putters)
        return item

    def close(self, error: Exception, *, discard: bool) -> None:
        """Let no more items in and wake whoever waits; the first ``error`` given is the one that is raised.

        Args:
            error: For those who wait, and for later calls.
            discard: Throw away what is in it, too; otherwise it can still be taken.
        """
        self._closed = self._closed or error
        if discard:
            self._items.clear()
        for waiters in (self._putters, self._getters):
            while waiters:
                _wake_one(waiters)


async def _wait_in(waiters: deque[asyncio.Future[None]]) -> None:
    waiter = asyncio.get_running_loop().create_future()
    waiters.append(waiter)
    try:
        await waiter
    except asyncio.CancelledError:
        # A wake-up that this task can no longer use belongs to the next.
        if waiter.cancelled():
            waiters.remove(waiter)
        else:
            _wake_one(waiters)
        raise


def _wake_one(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        waiter = waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return
