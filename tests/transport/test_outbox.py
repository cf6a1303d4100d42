"""The outbox: sequences are sent in order, encoded late, and whoever posted one learns what became of it."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.transport.messages import EncodedFrame
from pslgs.transport.outbox import Outbox
from pslgs.transport.settings import MERGED_BYTES
from server.fakes import settle


class ClosedError(Exception):
    pass


def frame(size: int = 10, fill: int = 0) -> EncodedFrame:
    return EncodedFrame("control", bytes([fill % 256]) * size)


def counted(frames: list[EncodedFrame], requested: list[int]) -> Iterator[EncodedFrame]:
    for number, each in enumerate(frames):
        requested.append(number)
        yield each


async def test_a_sequence_is_sent_once_the_message_with_its_last_frame_is():
    outbox = Outbox()
    large, small = frame(MERGED_BYTES), frame()
    first, second = outbox.post([large, small]), outbox.post([small])
    assert await outbox.take() == [large]
    await settle()
    assert not first.done()
    assert await outbox.take() == [small, small]
    await settle()
    assert not first.done()
    assert not second.done()
    outbox.post([small])
    await outbox.take()
    assert await first
    assert await second


async def test_a_sequence_without_frames_is_sent_when_all_before_it_are():
    outbox = Outbox()
    outbox.post([frame()])
    everything = outbox.post(())
    taking = asyncio.create_task(outbox.take())
    await settle()
    assert taking.done()
    assert not everything.done()
    taking = asyncio.create_task(outbox.take())
    await settle()
    assert await everything
    assert not taking.done()
    outbox.close(ClosedError(), discard=True)
    with pytest.raises(ClosedError):
        await taking


async def test_frames_that_wait_are_not_requested():
    outbox, requested = Outbox(), list[int]()
    outbox.post(counted([frame(MERGED_BYTES)] * 3, requested))
    assert requested == []
    await outbox.take()
    assert requested == [0]
    await outbox.take()
    assert requested == [0, 1]


async def test_one_frame_is_requested_in_advance():
    outbox, requested = Outbox(), list[int]()
    sent = outbox.post(counted([frame(MERGED_BYTES)] * 2, requested))
    await outbox.take()
    for _ in range(2):
        outbox.prepare()
        assert requested == [0, 1]
    await outbox.take()
    outbox.prepare()  # finds that the sequence ends
    assert not sent.done()
    outbox.post([frame()])
    await outbox.take()
    assert await sent


async def test_a_frame_that_comes_later_wakes_the_taker():
    outbox = Outbox()
    taking = asyncio.create_task(outbox.take())
    await settle()
    outbox.post([frame()])
    assert await taking == [frame()]


async def test_what_is_discarded_is_not_sent_and_what_follows_is():
    outbox = Outbox()
    half_sent, waiting = outbox.post([frame(MERGED_BYTES), frame(fill=1)]), outbox.post([frame(fill=2)])
    await outbox.take()
    outbox.discard()
    assert half_sent.cancelled()
    assert waiting.cancelled()
    outbox.post([frame(fill=3)])
    assert await outbox.take() == [frame(fill=3)]


async def test_a_frame_that_did_not_fit_the_last_message_is_discarded_as_well():
    outbox = Outbox()
    outbox.post([frame(), frame(MERGED_BYTES)])
    assert await outbox.take() == [frame()]
    outbox.discard()
    outbox.post([frame(fill=3)])
    assert await outbox.take() == [frame(fill=3)]


@pytest.mark.parametrize("discard", [False, True])
async def test_closing_tells_all_who_wait_that_nothing_more_is_sent_for_sure(discard):
    outbox = Outbox()
    in_progress, waiting = outbox.post([frame(MERGED_BYTES)]), outbox.post([frame(), frame(MERGED_BYTES)])
    await outbox.take()
    outbox.close(ClosedError("first"), discard=discard)
    outbox.close(ClosedError("second"), discard=discard)
    assert not await in_progress
    assert not await waiting
    assert not await outbox.post([frame()])
    left = [] if discard else [[frame()], [frame(MERGED_BYTES)]]
    assert [await outbox.take() for _ in left] == left
    with pytest.raises(ClosedError, match="first"):
        await outbox.take()


async def test_a_sender_that_is_cancelled_does_not_disturb_the_others():
    outbox = Outbox()
    sending = asyncio.create_task(_wait(outbox.post([frame(fill=1)])))
    await settle()
    sending.cancel()
    await settle()
    other = outbox.post([frame(fill=2)])
    assert await outbox.take() == [frame(fill=1), frame(fill=2)]
    outbox.post([frame()])
    await outbox.take()
    assert await other


async def _wait(sent: asyncio.Future[bool]) -> None:
    await sent


@given(st.lists(st.lists(st.integers(1, 2 * MERGED_BYTES), max_size=4), max_size=6))  # each has a header
def test_every_frame_is_taken_once_in_order_and_only_small_ones_share_a_message(sizes):
    async def take_all() -> list[list[EncodedFrame]]:
        outbox, messages = Outbox(), []
        sent = [outbox.post(iter(frames)) for frames in sequences]
        outbox.close(ClosedError(), discard=False)
        try:
            while True:
                messages.append(await outbox.take())
        except ClosedError:
            assert all(each.done() for each in sent)
            return messages

    sequences = [[frame(size, number) for number, size in enumerate(row)] for row in sizes]
    messages = asyncio.run(take_all())
    assert [each for message in messages for each in message] == [each for row in sequences for each in row]
    for message in messages:
        assert len(message) == 1 or sum(len(each.data) for each in message) <= MERGED_BYTES
    for one, following in pairwise(messages):
        together = sum(len(each.data) for each in one) + len(following[0].data)
        assert together > MERGED_BYTES
