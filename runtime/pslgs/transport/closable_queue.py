"""A bounded asyncio queue that can be closed with an error."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ClosableQueue(Generic[Item]):
    """A first-in, first-out queue of at most ``capacity`` items, for any number of tasks on both ends.

    `asyncio.Queue` cannot be closed before Python 3.13, and a task that waits for a lost peer must be woken.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._closed: Exception | None = None
        self._putters: deque[asyncio.Future[None]] = deque()
        self._getters: deque[asyncio.Future[None]] = deque()

    async def put(self, item: Item) -> None:
        """Wait for a free place and add ``item``; raises the error of `close` if the queue is closed."""
        while self._closed is None and len(self._items) >= self._capacity:
            await _wait_in(self._putters)
        if self._closed is not None:
            raise self._closed.with_traceback(None)
        self._items.append(item)
        _wake_one(self._getters)

    async def get(self) -> Item:
        """Wait for the oldest item and remove it; raises the error of `close` if none is left."""
        while not self._items:
            if self._closed is not None:
                raise self._closed.with_traceback(None)
            await _wait_in(self._getters)
        item = self._items.popleft()
        _wake_one(self._putters)
        return item

    def close(self, error: Exception, *, discard: bool) -> None:
        """Accept no further items and wake all waiting tasks.

        Args:
            error: Raised to waiting tasks and by later calls; only the first call's error counts.
            discard: Whether to remove the remaining items; otherwise `get` still returns them.
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
        if waiter.cancelled():
            with suppress(ValueError):  # another task may have passed over it and removed it meanwhile
                waiters.remove(waiter)
        else:  # this task was woken, but does not use its turn
            _wake_one(waiters)
        raise


def _wake_one(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        waiter = waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return
