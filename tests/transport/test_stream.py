"""A stream ends once, for one reason, and wakes all waiting tasks."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.transport import stream as stream_module
from pslgs.transport.errors import StreamEnded, stream_ended
from pslgs.transport.messages import EncodedFrame, control_frame, decode_frames, encode_frame
from pslgs.transport.settings import CHUNK_BYTES, MERGED_BYTES
from pslgs.transport.stream import Stream
from pslgs.transport.v1.training_pb2 import Abort, Header, Tensor
from transport.loopback import DEADLINE, connecting, receive_all, serving

pytestmark = pytest.mark.timeout(60)
ABORT = Header(abort=Abort(step=1))
ABORT_FRAME = control_frame(ABORT)


async def silent() -> bytes:
    return await asyncio.get_running_loop().create_future()


async def taken(message: bytes) -> None:
    pass


async def stuck(message: bytes) -> None:
    await asyncio.get_running_loop().create_future()


async def broken(*_: object) -> bytes:
    raise ZeroDivisionError


async def fill(stream: Stream) -> None:
    while True:
        await stream.send([ABORT_FRAME])


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.OK, grpc.StatusCode.ABORTED], ids=lambda status: status.name
)
async def test_ending_wakes_a_receiver_and_a_blocked_sender(status):
    stream = Stream()
    carrying = asyncio.create_task(stream.pump(silent, stuck))
    waiting = [asyncio.create_task(each) for each in (fill(stream), fill(stream), stream.receive())]
    await asyncio.wait(waiting, timeout=0.05)
    assert not any(each.done() for each in waiting)
    stream.end(status, "over")
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), DEADLINE)
    assert [outcome.status for outcome in outcomes] == [status] * 3
    carrying.cancel()
    await asyncio.wait({carrying})


async def test_a_peer_that_accepts_no_message_in_time_ends_the_stream(monkeypatch):
    monkeypatch.setattr(stream_module, "WRITE_TIMEOUT_SECONDS", 0.05)
    stream = Stream()
    stream.post([ABORT_FRAME])
    reason = await asyncio.wait_for(stream.pump(silent, stuck), DEADLINE)
    assert reason.status is grpc.StatusCode.DEADLINE_EXCEEDED
    with pytest.raises(StreamEnded, match="took no message"):
        await stream.receive()


async def test_a_stream_that_ends_with_ok_waits_a_limited_time_for_its_peer(monkeypatch):
    monkeypatch.setattr(stream_module, "FLUSH_TIMEOUT_SECONDS", 0.05)
    stream = Stream()
    stream.post([ABORT_FRAME])
    stream.end(grpc.StatusCode.OK, "")
    reason = await asyncio.wait_for(stream.pump(silent, stuck, silent), DEADLINE)
    assert reason.status is grpc.StatusCode.OK
    assert not stream.sent


@pytest.mark.parametrize(
    ("read", "write"),
    [pytest.param(broken, taken, id="reading"), pytest.param(silent, broken, id="writing")],
)
async def test_an_error_while_messages_are_moved_is_raised_and_wakes_all_waiting_tasks(read, write):
    stream = Stream()
    stream.post([ABORT_FRAME])
    receiving = asyncio.create_task(stream.receive())
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(stream.pump(read, write), DEADLINE)
    with pytest.raises(StreamEnded, match="INTERNAL"):
        await receiving


async def test_messages_from_a_peer_that_left_are_received_and_those_to_it_are_dropped():
    messages = iter([encode_frame(ABORT), encode_frame(ABORT)])

    async def read() -> bytes:
        for message in messages:
            return message
        raise stream_ended(grpc.StatusCode.CANCELLED, "left")

    stream = Stream()
    stream.post([ABORT_FRAME])
    reason = await asyncio.wait_for(stream.pump(read, stuck), DEADLINE)
    assert reason.details == "left"
    assert [(await stream.receive()).header for _ in range(2)] == [ABORT, ABORT]
    assert stream.received == {"control": 2 * len(encode_frame(ABORT))}
    with pytest.raises(StreamEnded, match="left"):
        await stream.receive()


def chunk(payload_bytes: int, step: int = 1) -> bytes:
    return encode_frame(Header(tensor=Tensor(kind=Tensor.SMASHED_DATA, step=step)), bytes(payload_bytes))


async def messages_for(stream: Stream, frames: Sequence[bytes]) -> list[bytes]:
    """Send all frames and return what gRPC was given to carry them."""
    written: list[bytes] = []

    async def write(message: bytes) -> None:
        written.append(message)

    async def send() -> None:
        stream.post(EncodedFrame(decode_frames(frame)[0].kind, frame) for frame in frames)
        stream.end(grpc.StatusCode.OK, "")

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(stream.pump(silent, write), send())
    return written


async def test_small_queued_frames_are_merged_in_order():
    stream = Stream()
    (message,) = await messages_for(
        stream, [encode_frame(Header(abort=Abort(step=step))) for step in range(3)]
    )
    assert [frame.header.abort.step for frame in decode_frames(message)] == [0, 1, 2]
    assert stream.sent == {"control": len(message)}


# Sizes on both sides of what can be merged, and pairs that fill a message exactly or miss by one byte.
QUARTER = MERGED_BYTES // 4
HALF = 2 * QUARTER - (len(chunk(QUARTER)) - QUARTER)
SIZES = st.one_of(
    st.integers(0, 300),
    st.integers(0, 2 * MERGED_BYTES),
    st.sampled_from([HALF - 1, HALF, HALF + 1, MERGED_BYTES, CHUNK_BYTES]),
)


@given(st.lists(SIZES, max_size=12))
def test_merged_messages_keep_the_order_and_the_limit_and_every_byte_is_counted(sizes):
    async def exchange() -> tuple[Stream, list[bytes]]:
        stream = Stream()
        return stream, await messages_for(stream, frames)

    frames = [chunk(size, step) for step, size in enumerate(sizes, 1)]
    stream, messages = asyncio.run(exchange())
    assert b"".join(messages) == b"".join(frames)
    for message in messages:
        assert len(decode_frames(message)) == 1 or len(message) <= MERGED_BYTES
    assert stream.sent["smashed_data"] == sum(map(len, frames))


@pytest.mark.parametrize(
    ("sizes", "messages"),
    [
        pytest.param([HALF, HALF], [[0, 1]], id="two that fill a message"),
        pytest.param([HALF, HALF + 1], [[0], [1]], id="two of a byte too many"),
        pytest.param([10, CHUNK_BYTES, 10, 10], [[0], [1], [2, 3]], id="a chunk between small ones"),
        pytest.param([CHUNK_BYTES, 10], [[0], [1]], id="a small one behind a chunk"),
    ],
)
async def test_a_frame_that_does_not_fit_begins_a_new_message(sizes, messages):
    frames = [chunk(size) for size in sizes]
    assert await messages_for(Stream(), frames) == [
        b"".join(frames[place] for place in places) for places in messages
    ]


async def test_who_waits_for_frames_that_are_dropped_is_cancelled_and_the_stream_goes_on():
    stream = Stream()
    sending = asyncio.create_task(stream.send([ABORT_FRAME]))
    await asyncio.sleep(0)
    stream.discard_posted()
    await asyncio.wait({sending}, timeout=DEADLINE)
    assert sending.cancelled()
    assert await messages_for(stream, [chunk(10)]) == [chunk(10)]


async def test_a_full_chunk_is_given_to_grpc_without_a_copy():
    small, large = chunk(10), chunk(CHUNK_BYTES)
    messages = await messages_for(Stream(), [small, large, small])
    assert [message is frame for message, frame in zip(messages, (small, large, small), strict=True)] == [
        True,
        True,
        True,
    ]


async def test_merged_frames_are_received_one_by_one_and_counted_each_by_its_kind():
    tensor = chunk(100)

    async def read() -> bytes:
        for message in messages:
            return message
        raise stream_ended(grpc.StatusCode.CANCELLED, "left")

    messages = iter([encode_frame(ABORT) + tensor + encode_frame(ABORT), tensor])
    stream = Stream()
    await asyncio.wait_for(stream.pump(read, taken), DEADLINE)
    bodies = []
    for control, data in [(1, 0), (1, 1), (2, 1), (2, 2)]:
        bodies.append((await stream.receive()).header.WhichOneof("body"))
        assert stream.received["control"] == control * len(encode_frame(ABORT))
        assert stream.received["smashed_data"] == data * len(tensor)
    assert bodies == ["abort", "tensor", "abort", "tensor"]


async def test_a_stream_ended_from_this_side_returns_no_earlier_frames():
    async def read() -> bytes:
        if not came.done():
            came.set_result(None)
            return encode_frame(ABORT) * 3
        return await silent()

    came = asyncio.get_running_loop().create_future()
    stream = Stream()
    carrying = asyncio.create_task(stream.pump(read, taken))
    await stream.receive()
    stream.end(grpc.StatusCode.ABORTED, "enough")
    with pytest.raises(StreamEnded, match="enough"):
        await stream.receive()
    await carrying


async def test_a_half_close_that_never_completes_blocks_nobody(monkeypatch):
    monkeypatch.setattr(stream_module, "FLUSH_TIMEOUT_SECONDS", 0.05)
    stream = Stream()
    stream.end(grpc.StatusCode.OK, "")
    assert (await asyncio.wait_for(stream.pump(silent, taken, silent), DEADLINE)).status is grpc.StatusCode.OK


async def test_an_error_of_the_client_is_raised_and_ends_its_session():
    async with serving(receive_all) as served:
        with pytest.raises(ZeroDivisionError):
            async with connecting(served.address):
                await broken()
        await served.end_of(await served.session())


async def test_a_client_that_is_cancelled_leaves_at_once():
    async def client() -> None:
        async with connecting(served.address) as connection:
            await connection.receive()

    async with serving(receive_all) as served:
        running = asyncio.create_task(client())
        session = await served.session()
        running.cancel()
        await asyncio.wait({running}, timeout=DEADLINE)
        assert running.cancelled()
        await served.end_of(session)


async def test_what_is_sent_is_counted_without_being_parsed_again(monkeypatch):
    def refuse(_: bytes) -> list:
        raise AssertionError("a message that was sent has been parsed")

    stream, frames = Stream(), [chunk(10), encode_frame(ABORT), chunk(MERGED_BYTES)]
    kinds = [decode_frames(frame)[0].kind for frame in frames]
    monkeypatch.setattr(stream_module, "decode_frames", refuse)
    written: list[bytes] = []

    async def write(message: bytes) -> None:
        written.append(message)

    async with asyncio.timeout(DEADLINE):
        carrying = asyncio.create_task(stream.pump(silent, write))
        for frame, kind in zip(frames, kinds, strict=True):
            await stream.send([EncodedFrame(kind, frame)])
        stream.end(grpc.StatusCode.OK, "")
        await carrying
    assert b"".join(written) == b"".join(frames)
    assert stream.sent == {"smashed_data": len(frames[0]) + len(frames[2]), "control": len(frames[1])}


async def test_streams_are_counted_together_from_their_beginning_on():
    totals: Counter[tuple[str, str]] = Counter()
    one, other = Stream(), Stream()
    await messages_for(one, [encode_frame(ABORT)])
    for stream in (one, other):
        stream.count_into(totals)
    await messages_for(other, [encode_frame(ABORT), chunk(100)])
    assert totals == {
        ("sent", "control"): 2 * len(encode_frame(ABORT)),
        ("sent", "smashed_data"): len(chunk(100)),
    }
