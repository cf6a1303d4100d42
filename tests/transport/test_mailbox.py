"""A mailbox keeps order and bounds, and closing it wakes whoever waits."""

import asyncio

import pytest

from pslgs.transport.closable_queue import ClosableQueue


class ClosedError(Exception):
    pass


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_items_come_out_in_order_and_never_more_than_fit():
    mailbox: ClosableQueue[int] = ClosableQueue(2)

    async def put_all() -> None:
        for item in range(10):
            await mailbox.put(item)

    putting = asyncio.create_task(put_all())
    await settle()
    assert len(mailbox._items) == 2
    assert [await mailbox.get() for _ in range(10)] == list(range(10))
    await putting


def anything(item: int) -> bool:
    return True


async def test_what_is_taken_without_waiting_comes_in_order_too():
    mailbox: ClosableQueue[int] = ClosableQueue(3)
    for item in range(3):
        await mailbox.put(item)
    assert [mailbox.get_now(anything), await mailbox.get(), mailbox.get_now(anything)] == [0, 1, 2]
    assert mailbox.get_now(anything) is None


async def test_an_item_that_is_not_accepted_stays_first():
    mailbox: ClosableQueue[int] = ClosableQueue(2)
    await mailbox.put(5)
    await mailbox.put(1)
    assert mailbox.get_now(lambda item: item < 5) is None
    assert [await mailbox.get(), await mailbox.get()] == [5, 1]


async def test_taking_without_waiting_makes_place_for_one_that_waits_to_put():
    mailbox: ClosableQueue[int] = ClosableQueue(1)
    await mailbox.put(0)
    putting = asyncio.create_task(mailbox.put(1))
    await settle()
    assert mailbox.get_now(lambda item: item != 0) is None
    await settle()
    assert not putting.done()
    assert mailbox.get_now(anything) == 0
    await settle()
    assert putting.done()
    assert mailbox.get_now(anything) == 1


async def test_a_closed_mailbox_gives_what_is_left_without_waiting_and_then_nothing():
    mailbox: ClosableQueue[int] = ClosableQueue(2)
    await mailbox.put(1)
    mailbox.close(ClosedError(), discard=False)
    assert [mailbox.get_now(anything), mailbox.get_now(anything)] == [1, None]


async def test_closing_wakes_every_task_that_waits_to_put():
    mailbox: ClosableQueue[int] = ClosableQueue(1)
    await mailbox.put(0)
    waiting = [asyncio.create_task(mailbox.put(item)) for item in range(3)]
    await settle()
    mailbox.close(ClosedError(), discard=False)
    assert all(
        isinstance(each, ClosedError) for each in await asyncio.gather(*waiting, return_exceptions=True)
    )
    assert await mailbox.get() == 0


async def test_closing_wakes_every_task_that_waits_to_get():
    mailbox: ClosableQueue[int] = ClosableQueue(1)
    waiting = [asyncio.create_task(mailbox.get()) for _ in range(3)]
    await settle()
    mailbox.close(ClosedError(), discard=False)
    assert all(
        isinstance(each, ClosedError) for each in await asyncio.gather(*waiting, return_exceptions=True)
    )


async def test_what_was_in_a_closed_mailbox_is_kept_or_discarded():
    for discard in (False, True):
        mailbox: ClosableQueue[int] = ClosableQueue(2)
        await mailbox.put(1)
        mailbox.close(ClosedError(), discard=discard)
        if not discard:
            assert await mailbox.get() == 1
        with pytest.raises(ClosedError):
            await mailbox.get()


async def test_the_first_reason_for_closing_stays():
    mailbox: ClosableQueue[int] = ClosableQueue(1)
    mailbox.close(ClosedError("first"), discard=False)
    mailbox.close(ClosedError("second"), discard=False)
    with pytest.raises(ClosedError, match="first"):
        await mailbox.put(1)


async def test_a_cancelled_task_passes_its_turn_on():
    mailbox: ClosableQueue[int] = ClosableQueue(1)
    first, second = asyncio.create_task(mailbox.get()), asyncio.create_task(mailbox.get())
    await settle()
    await mailbox.put(1)  # wakes the first
    first.cancel()
    await settle()
    assert first.cancelled()
    assert second.done()
    assert second.result() == 1


async def test_a_task_cancelled_before_its_turn_leaves_no_trace():
    mailbox: ClosableQueue[int] = ClosableQueue(1)
    waiting = asyncio.create_task(mailbox.get())
    await settle()
    waiting.cancel()
    await settle()
    await mailbox.put(1)
    assert await mailbox.get() == 1
