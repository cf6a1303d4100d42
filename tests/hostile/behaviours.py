"""What hostile clients do: the table `BEHAVIOURS`, one function for each behaviour.

A behaviour gets what an invited client knows, acts with its certificate, and returns when it has been refused
or has nothing more to do.  It uses at most a few megabytes of memory itself, so that the memory of a process
in which server and attacker run is the server's.
"""

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from hostile import http2
from hostile.client import (
    Known,
    answer,
    connected,
    gradient,
    hello,
    joined,
    labels,
    raw_stream,
    stream_of,
    tensor,
)
from hostile.http2 import call, data, frame, message
from pslgs.transport.connection_limits import FRUITLESS_CONNECTIONS
from pslgs.transport.messages import encode_frame
from pslgs.transport.settings import CHUNK_BYTES, MESSAGE_LIMIT
from pslgs.transport.v1.training_pb2 import (
    Abort,
    Failure,
    FeatureMoments,
    Finish,
    Forward,
    Header,
    Tensor,
    Welcome,
)

Act = Callable[[Known], Awaitable[None]]
MANY = 300
"""Repetitions of what is cheap; enough that a server which pays for each of them shows it."""


ENDLESS = (b"\0\x01x\x40" + b"y" * 64) * 200
"""Part of headers: the field x with 64 bytes (RFC 7541, 6.2.2), 200 times."""


@dataclass(frozen=True)
class Behaviour:
    """What a hostile client does.

    Attributes:
        name: For tests, and as the name of the client.
        act: Does it.
        seen_as: Reasons under which the server may name the client, which depend on what it notices first and
            last; none if gRPC handles it and tells nobody.
    """

    name: str
    act: Act
    seen_as: frozenset[str]


_TABLE: list[Behaviour] = []


def behaviour(*seen_as: str) -> Callable[[Act], Act]:
    """Add a function to the table."""

    def add(act: Act) -> Act:
        _TABLE.append(Behaviour(act.__name__.replace("_", "-"), act, frozenset(seen_as)))
        return act

    return add


# Hello messages


async def _say(known: Known, *messages: bytes) -> None:
    """Send messages on a new stream, and wait for its end."""
    async with stream_of(known) as stream:
        with suppress(EOFError):
            await stream.send(*messages)
        await stream.receive_end()


@behaviour("ProtocolViolation")
async def random_bytes_for_a_hello(known: Known) -> None:
    rng = random.Random(known.name)  # noqa: S311 - protects nothing
    for length in (1, 2, 100, 60_000, CHUNK_BYTES):
        await _say(known, rng.randbytes(length))


@behaviour("NoHello")
async def hello_that_is_too_long(known: Known) -> None:
    await _say(known, encode_frame(Header(hello=hello(known)), bytes(MESSAGE_LIMIT)))


@behaviour("TimeoutError")
async def stream_without_a_hello(known: Known) -> None:
    await _say(known)


@behaviour("NoHello")
async def leaving_before_the_hello(known: Known) -> None:
    for _ in range(FRUITLESS_CONNECTIONS):
        async with http2.http2(known) as connection:
            await connection.send(call(1))


@behaviour("Impostor")
async def name_of_another_client(known: Known) -> None:
    await _say(known, encode_frame(Header(hello=hello(known, client_id="honest-0"))))


@behaviour("JobMismatch")
async def digest_of_another_job(known: Known) -> None:
    await _say(
        known, encode_frame(Header(hello=hello(known, job_digest=bytes(32), failure="\x1b[31m" * 500)))
    )


@behaviour("UnusableClient")
async def failure_with_codes_of_a_terminal(known: Known) -> None:
    failure = "\x1b[2J\x1b[31mERROR\nERROR the training has failed\r" * 1000
    await _say(known, encode_frame(Header(hello=hello(known, failure=failure))))


@behaviour("ImplausibleClaim")
async def claims_of_a_billion_samples(known: Known) -> None:
    for said in (
        {"samples": 10**9, "label_counts": [10**9, 0, 0]},
        {"evaluation_samples": 2**64 - 1},
        {"label_counts": [2**64 - 1] * 3},
        {"label_counts": [1] * 8000},
    ):
        await _say(known, encode_frame(Header(hello=hello(known, **said))))


@behaviour("ShapeMismatch")
async def shapes_of_gigabytes(known: Known) -> None:
    for shape in ([10**9], [2**32 - 1] * 8, [1] * 10_000):
        await _say(known, encode_frame(Header(hello=hello(known, input_shape=shape))))


@behaviour("ImplausibleClaim")
async def moments_that_nobody_asked_for(known: Known) -> None:
    moments = FeatureMoments(count=2**63, mean=[float("nan")] * 1000, deviations=[-1.0] * 1000)
    await _say(known, encode_frame(Header(hello=hello(known, feature_moments=moments))))


# Joins; refusals are held back, so a storm is limited by time


async def _storm(known: Known, workers: int) -> None:
    """Join and leave again and again on one connection, on several streams at a time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 2

    async def join_and_leave(channel: Any) -> None:
        while loop.time() < end:
            stream = raw_stream(channel)
            with suppress(EOFError):
                await stream.send(encode_frame(Header(hello=hello(known))))
                await stream.receive()
            stream.cancel()

    async with connected(known) as channel:
        await asyncio.gather(*(join_and_leave(channel) for _ in range(workers)))


@behaviour("TryLater")
async def storm_of_joins(known: Known) -> None:
    await _storm(known, 1)


@behaviour("TryLater")
async def storm_of_joins_on_many_streams(known: Known) -> None:
    await _storm(known, 8)


@behaviour("TryLater")
async def storm_of_connections(known: Known) -> None:
    for _ in range(8):
        async with joined(known) as stream:
            with suppress(EOFError):
                await stream.receive()


# Messages of a client that has joined


async def _violate(known: Known, *messages: bytes) -> None:
    """Join, send messages, and wait for the end of the stream; return before if the client is excluded."""
    async with joined(known) as stream:
        with suppress(EOFError):
            await stream.receive()
            await stream.send(*messages)
        await stream.receive_end()


@behaviour("ProtocolViolation")
async def messages_of_a_server(known: Known) -> None:
    for body in (
        {"welcome": Welcome()},
        {"finish": Finish(exit_code=75)},
        {"abort": Abort(step=1, attempt=1)},
        {"forward": Forward(step=1, samples=2**32 - 1)},
    ):
        await _violate(known, encode_frame(Header(**body)))


@behaviour("ProtocolViolation")
async def malformed_frames(known: Known) -> None:
    for sent in (
        b"",
        b"\x0a\xff\xff\xff\xff\x0f",
        encode_frame(Header()),
        encode_frame(Header(welcome=Welcome()), b"payload"),
        b"\x0a\x00" * 30_000,
    ):
        await _violate(known, sent)


@behaviour("ProtocolViolation")
async def kind_that_is_not_defined(known: Known) -> None:
    await _answer(known, lambda order: [tensor(order, 99, bytes(8))])


@behaviour("ProtocolViolation")
async def answers_that_nobody_asked_for(known: Known) -> None:
    ahead = Forward(step=10**6, attempt=1, samples=4)
    await _violate(known, *answer(known, ahead))


@behaviour("ProtocolViolation", "Flood")
async def flood_of_a_client_without_samples(known: Known) -> None:
    chunk = tensor(Forward(step=1, attempt=1), Tensor.SMASHED_DATA, bytes(CHUNK_BYTES))
    async with joined(known, samples=0) as stream:
        with suppress(EOFError):
            for _ in range(MANY):
                await stream.send(chunk)
        await stream.receive_end()


@behaviour("ProtocolViolation")
async def flood_of_empty_frames(known: Known) -> None:
    chunk = tensor(Forward(step=1, attempt=1), Tensor.LABELS, b"")
    await _violate(known, *[chunk * (60_000 // len(chunk))] * MANY)


@behaviour("ProtocolViolation")
async def flood_of_late_frames(known: Known) -> None:
    async with joined(known) as stream:
        with suppress(EOFError):
            order = await stream.receive_order()
    late = labels(order)
    await _violate(known, *[late * (60_000 // len(late))] * MANY)


@behaviour()
async def failure_with_forged_lines(known: Known) -> None:
    message = "\x1b[2K\rINFO nothing happened\nERROR honest-0 was hacked\n" * 1000
    await _violate(known, encode_frame(Header(failure=Failure(exit_code=1, message=message))))


# Answers to orders


async def _answer(known: Known, given: Callable[[Forward], Iterable[bytes]]) -> None:
    """Join, answer the first order, and wait for the end of the stream."""
    async with joined(known) as stream:
        with suppress(EOFError):
            order = await stream.receive_order()
            await stream.send(*given(order))
        await stream.receive_end()


@behaviour("ProtocolViolation")
async def labels_out_of_range(known: Known) -> None:
    def labelled(order: Forward, label: int) -> list[bytes]:
        return [labels(order, label)]

    for label in (3, -1, 2**63 - 1, -(2**63)):
        await _answer(known, partial(labelled, label=label))


@behaviour("ProtocolViolation")
async def slices_of_wrong_sizes(known: Known) -> None:
    def sliced(changes: dict[str, int], order: Forward) -> list[bytes]:
        rows = bytes(order.samples * known.row_bytes)
        return [
            labels(order),
            tensor(order, Tensor.SMASHED_DATA, rows, **{"samples": order.samples} | changes),
        ]

    for changes in ({"samples": 2**32 - 1}, {"first": 1}, {"offset": 2**63}, {"offset": 1}, {"samples": 0}):
        await _answer(known, partial(sliced, changes))


@behaviour("ProtocolViolation")
async def more_bytes_than_a_tensor_has(known: Known) -> None:
    await _answer(known, lambda order: [tensor(order, Tensor.LABELS, bytes(CHUNK_BYTES))] * 50)


@behaviour("ProtocolViolation")
async def answer_twice(known: Known) -> None:
    await _answer(known, lambda order: [*answer(known, order), *answer(known, order)])


@behaviour("ProtocolViolation")
async def answer_of_the_step_before(known: Known) -> None:
    async with joined(known) as stream:
        with suppress(EOFError):
            before = await stream.receive_order()
            await stream.send(*answer(known, before))
            await stream.receive_cut_gradient()
            await stream.send(gradient(known, before))
            await stream.receive_order()
            await stream.send(*answer(known, before))
        await stream.receive_end()


@behaviour("ProtocolViolation")
async def gradient_before_it_is_asked_for(known: Known) -> None:
    await _answer(known, lambda order: [gradient(known, order)])


def _smashed(known: Known, order: Forward, value: float) -> list[bytes]:
    row = struct.pack("<f", value) * (known.row_bytes // 4)
    return [labels(order), tensor(order, Tensor.SMASHED_DATA, row * order.samples, samples=order.samples)]


@behaviour("non_finite")
async def smashed_data_that_are_no_numbers(known: Known) -> None:
    for value in (float("nan"), float("-inf"), 3e38):
        await _answer(known, partial(_smashed, known, value=value))


@behaviour("non_finite")
async def gradients_that_are_no_numbers(known: Known) -> None:
    for value in (float("inf"), float("nan")):
        async with joined(known) as stream:
            with suppress(EOFError):
                order = await stream.receive_order()
                await stream.send(*answer(known, order))
                await stream.receive_cut_gradient()
                numbers = struct.pack("<f", value) * (known.gradient_bytes // 4)
                await stream.send(tensor(order, Tensor.CLIENT_GRADIENT, numbers))
            await stream.receive_end()


# Slowness


@behaviour("timeout")
async def no_answer(known: Known) -> None:
    await _answer(known, lambda _: [])


@behaviour("timeout")
async def answer_of_a_byte_now_and_then(known: Known) -> None:
    async with joined(known) as stream:
        with suppress(EOFError):
            order = await stream.receive_order()
            for offset in range(8 * order.samples):
                await stream.send(tensor(order, Tensor.LABELS, b"\0", offset=offset))
                await asyncio.sleep(0.2)
        await stream.receive_end()


@behaviour("timeout")
async def window_of_no_bytes(known: Known) -> None:
    async with http2.http2(known, window=0) as connection:
        said = encode_frame(Header(hello=hello(known)))
        await connection.send(call(1), data(1, message(len(said), said)))
        await asyncio.sleep(2)


@behaviour("TimeoutError")
async def hello_of_a_byte_now_and_then(known: Known) -> None:
    said = encode_frame(Header(hello=hello(known)))
    async with http2.http2(known) as connection:
        await connection.send(call(1))
        with suppress(ConnectionError):
            for byte in message(len(said), said)[:10]:
                await connection.send(data(1, bytes((byte,))))
                await asyncio.sleep(0.2)


# HTTP/2


@behaviour("NoHello", "Flood")
async def message_of_two_gigabytes(known: Known) -> None:
    async with http2.http2(known) as connection:
        await connection.send(call(1), data(1, message(2**31 - 1, bytes(16_000))))
        with suppress(ConnectionError):
            for _ in range(MANY):
                await connection.send(data(1, bytes(16_000)))
                await asyncio.sleep(0)


async def _flood(known: Known, *frames: bytes, more: Callable[[int], bytes] | None = None) -> None:
    async with http2.http2(known) as connection:
        with suppress(ConnectionError):
            await connection.send(*frames)
            for number in range(10 * MANY):
                await connection.send(more(number) if more else frames[-1])


@behaviour()
async def flood_of_pings(known: Known) -> None:
    await _flood(known, frame(http2.PING, 0, 0, bytes(8)))


@behaviour()
async def flood_of_settings(known: Known) -> None:
    await _flood(known, frame(http2.SETTINGS, 0, 0))


@behaviour()
async def headers_that_never_end(known: Known) -> None:
    await _flood(known, call(1, flags=0), frame(http2.CONTINUATION, 0, 1, ENDLESS))


@behaviour("ProtocolViolation", "Flood")
async def flood_of_settings_of_a_client_that_joined(known: Known) -> None:
    said = encode_frame(Header(hello=hello(known, samples=0)))
    async with http2.http2(known) as connection:
        await connection.send(call(1), data(1, message(len(said), said)))
        await connection.answered.wait()
        with suppress(ConnectionError):
            while True:
                await connection.send(frame(http2.SETTINGS, 0, 0) * 1000)


@behaviour()
async def streams_that_are_reset_at_once(known: Known) -> None:
    def opened_and_reset(number: int) -> bytes:
        stream = 2 * number + 1
        return call(stream) + frame(http2.RST_STREAM, 0, stream, (8).to_bytes(4, "big"))

    await _flood(known, more=opened_and_reset)


@behaviour()
async def connection_without_a_stream(known: Known) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(MANY // 10):
            await stack.enter_async_context(http2.http2(known))
        await asyncio.sleep(0.3)


# TCP: these need no certificate


async def _dial(known: Known) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", known.port, local_addr=(known.source, 0))
    return writer


async def _silent(known: Known, beginning: bytes) -> None:
    """Open many connections, send the same beginning on each, and keep them for a while."""
    writers = await asyncio.gather(*(_dial(known) for _ in range(MANY)))
    try:
        for writer in writers:
            writer.write(beginning)
        await asyncio.sleep(0.3)
    finally:
        for writer in writers:
            writer.transport.abort()


@behaviour()
async def connections_that_say_nothing(known: Known) -> None:
    await _silent(known, b"")


@behaviour()
async def handshakes_that_stop(known: Known) -> None:
    await _silent(known, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")


@behaviour()
async def plaintext_at_the_port_of_tls(known: Known) -> None:
    await _silent(known, b"GET / HTTP/1.1\r\nHost: \x1b[31m\r\n\r\n" + http2.PREFACE)


BEHAVIOURS = tuple(_TABLE)
