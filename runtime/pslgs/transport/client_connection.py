"""The gRPC client: dials the server with back-off and opens the session's stream."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import grpc.aio

from pslgs.identity.identity import IdentitySource
from pslgs.transport.errors import Refused, StreamEnded, Unreachable, ended
from pslgs.transport.messages import encode_frame
from pslgs.transport.settings import (
    ADMITTED,
    DEFAULT_KEEPALIVE,
    HELLO_SECONDS,
    METHOD,
    PROTOCOL_VERSION,
    RETRY_AFTER,
    RETRY_LIMIT_SECONDS,
    SERVICE,
    Keepalive,
    client_options,
)
from pslgs.transport.stream import Stream
from pslgs.transport.v1.training_pb2 import Header, Hello


async def read(call: Any) -> bytes:  # noqa: ANN401 - grpc.aio has no types
    """Wait for the server's next message."""
    try:
        message = await call.read()
    except grpc.aio.AioRpcError as error:
        raise _ended_by(error) from error
    if message is grpc.aio.EOF:
        raise await outcome(call)
    return bytes(message)


async def write(call: Any, message: bytes) -> None:  # noqa: ANN401 - as above
    """Wait until gRPC has taken ``message``."""
    try:
        await call.write(message)
    except grpc.aio.AioRpcError as error:
        raise _ended_by(error) from error
    except (asyncio.InvalidStateError, grpc.aio.BaseError) as error:
        raise await outcome(call) from error


async def half_close(call: Any) -> None:  # noqa: ANN401 - as above
    """Tell the server that nothing more will come."""
    with suppress(grpc.aio.BaseError):  # then the call is over already
        await call.done_writing()


async def outcome(call: Any) -> StreamEnded:  # noqa: ANN401 - as above
    """Wait for the status that the call ends with."""
    retry = _retry_seconds(await call.trailing_metadata() or ())
    return ended(await call.code(), await call.details() or "", retry)


def _ended_by(error: grpc.aio.AioRpcError) -> StreamEnded:
    return ended(error.code(), error.details() or "", _retry_seconds(error.trailing_metadata() or ()))


def _retry_seconds(metadata: Iterable[tuple[str, str | bytes]]) -> float:
    """Read how long the server asks this client to wait; 0 where it does not or what it says is no number."""
    milliseconds = dict(metadata).get(RETRY_AFTER, "0")
    return min(int(milliseconds) / 1000, RETRY_LIMIT_SECONDS) if _is_number(milliseconds) else 0.0


def _is_number(text: str | bytes) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


BACK_OFF_SECONDS = 0.2
"""Between the first two attempts; doubled from one to the next."""

BACK_OFF_LIMIT_SECONDS = 5.0

RETURN_SECONDS = BACK_OFF_LIMIT_SECONDS + HELLO_SECONDS
"""Within these, a client that looks for its server has tried to reach it at least once."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server as a client knows it: ``host:port``, the identity to show there, and when to ping."""

    address: str
    identity: IdentitySource | None
    keepalive: Keepalive


async def dial(target: Target, hello: bytes, patience_seconds: float, rng: random.Random) -> tuple[Any, Any]:
    """Try until the server admits this client, and return the gRPC channel and call.

    Raises:
        Refused: the server does not admit this client.
        Unreachable: no server answered in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    for delay in back_off(rng):
        retry_seconds = 0.0
        try:
            async with asyncio.timeout_at(min(loop.time() + HELLO_SECONDS, deadline)):
                return await _attempt(target, hello)
        except Refused:
            raise
        except StreamEnded as error:
            problem, retry_seconds = str(error), error.retry_seconds
        except TimeoutError:
            problem = "there was no answer"
        if loop.time() + max(delay, retry_seconds) >= deadline:
            break
        await asyncio.sleep(max(delay, retry_seconds))
    raise Unreachable(
        f"No server answered at {target.address} within {patience_seconds:g} s; the last attempt: {problem}"
    )


def back_off(rng: random.Random) -> Iterator[float]:
    """Yield the seconds to wait between attempts; up to half of each wait is left to chance."""
    seconds = BACK_OFF_SECONDS
    while True:
        yield seconds * rng.uniform(0.5, 1.0)
        seconds = min(2 * seconds, BACK_OFF_LIMIT_SECONDS)


async def _attempt(target: Target, hello: bytes) -> tuple[Any, Any]:
    async with AsyncExitStack() as stack:
        # A new channel for each attempt: it looks the name up anew, for a server that has moved, and one
        # that failed would first sit out a back-off of its own.
        channel = await stack.enter_async_context(_channel(target))
        call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
        await write(call, hello)
        if ADMITTED not in tuple(await call.initial_metadata()):
            raise await outcome(call)
        stack.pop_all()
        return channel, call


def _channel(target: Target) -> Any:  # noqa: ANN401 - grpc.aio has no types
    options = client_options(target.keepalive)
    if target.identity is None:
        return grpc.aio.insecure_channel(target.address, options=options)
    identity = target.identity()
    credentials = grpc.ssl_channel_credentials(
        root_certificates=identity.ca_pem,
        private_key=identity.private_key_pem,
        certificate_chain=identity.certificate_pem,
    )
    return grpc.aio.secure_channel(target.address, credentials, options=options)


class Connection(Stream):
    """A client's stream to the server that has admitted it."""


@asynccontextmanager
async def connect(  # noqa: PLR0913 - the last has a default that only tests change
    address: str,
    identity: IdentitySource | None,
    hello: Hello,
    *,
    patience_seconds: float,
    rng: random.Random,
    keepalive: Keepalive = DEFAULT_KEEPALIVE,
) -> AsyncIterator[Connection]:
    """Connect to the server at ``address``, trying again until it answers.

    On leaving, what is queued is still sent, and the server is given time to read it.

    Args:
        address: ``host:port``; the server's certificate must carry this host's name.
        identity: For mutual TLS, asked for at each attempt; None for no TLS at all.
        hello: Sent first; its protocol is set here.
        patience_seconds: For all attempts together.
        rng: Spreads the attempts of many clients over time.
        keepalive: As the server's own.

    Raises:
        Refused: the server does not admit this client.
        Unreachable: no server answered in time.
    """
    spoken = Hello()
    spoken.CopyFrom(hello)
    spoken.protocol = PROTOCOL_VERSION
    first = encode_frame(Header(hello=spoken))
    channel, call = await dial(Target(address, identity, keepalive), first, patience_seconds, rng)
    connection = Connection()
    carrying = asyncio.create_task(
        connection.carry(
            partial(read, call),
            partial(write, call),
            partial(half_close, call),
        )
    )
    try:
        yield connection
    finally:
        connection.end(grpc.StatusCode.OK, "The client left.")
        await carrying
        await channel.close()
