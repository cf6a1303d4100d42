"""A queue keeps the order and its capacity, and closing it wakes all waiting tasks."""

import asyncio

import pytest

from pslgs.transport.closable_queue import ClosableQueue


class ClosedError(Exception):
    pass


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_items_are_returned_in_order_and_never_exceed_the_capacity():
    queue: ClosableQueue[int] = ClosableQueue(2)

    async def put_all() -> None:
        for item in range(10):
            await queue.put(item)

    putting = asyncio.create_task(put_all())
    await settle()
    assert len(queue._items) == 2
    assert [await queue.get() for _ in range(10)] == list(range(10))
    await putting


async def test_taking_an_item_wakes_a_task_that_waits_to_put():
    queue: ClosableQueue[int] = ClosableQueue(1)
    await queue.put(0)
    putting = asyncio.create_task(queue.put(1))
    await settle()
    assert not putting.done()
    assert await queue.get() == 0
    await settle()
    assert putting.done()
    assert await queue.get() == 1


async def test_closing_wakes_every_task_that_waits_to_put():
    queue: ClosableQueue[int] = ClosableQueue(1)
    await queue.put(0)
    waiting = [asyncio.create_task(queue.put(item)) for item in range(3)]
    await settle()
    queue.close(ClosedError(), discard=False)
    assert all(
        isinstance(each, ClosedError) for each in await asyncio.gather(*waiting, return_exceptions=True)
    )
    assert await queue.get() == 0


async def test_closing_wakes_every_task_that_waits_to_get():
    queue: ClosableQueue[int] = ClosableQueue(1)
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await settle()
    queue.close(ClosedError(), discard=False)
    assert all(
        isinstance(each, ClosedError) for each in await asyncio.gather(*waiting, return_exceptions=True)
    )


async def test_the_items_of_a_closed_queue_are_kept_or_discarded():
    for discard in (False, True):
        queue: ClosableQueue[int] = ClosableQueue(2)
        await queue.put(1)
        queue.close(ClosedError(), discard=discard)
        if not discard:
            assert await queue.get() == 1
        with pytest.raises(ClosedError):
            await queue.get()


async def test_only_the_first_error_of_closing_counts():
    queue: ClosableQueue[int] = ClosableQueue(1)
    queue.close(ClosedError("first"), discard=False)
    queue.close(ClosedError("second"), discard=False)
    with pytest.raises(ClosedError, match="first"):
        await queue.put(1)


async def test_a_cancelled_task_passes_its_turn_on():
    queue: ClosableQueue[int] = ClosableQueue(1)
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await settle()
    await queue.put(1)  # wakes the first
    first.cancel()
    await settle()
    assert first.cancelled()
    assert second.done()
    assert second.result() == 1


async def test_a_task_cancelled_before_its_turn_leaves_no_trace():
    queue: ClosableQueue[int] = ClosableQueue(1)
    waiting = asyncio.create_task(queue.get())
    await settle()
    waiting.cancel()
    await settle()
    await queue.put(1)
    assert await queue.get() == 1


async def test_a_task_cancelled_just_before_an_item_comes_ends_as_cancelled():
    queue: ClosableQueue[int] = ClosableQueue(1)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await queue.put(1)
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert await queue.get() == 1
