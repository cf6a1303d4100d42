"""The client's end of a session: connects to the server with back-off and opens the stream."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import grpc
import grpc.aio

from pslgs.identity.identity import Identity, IdentitySource
from pslgs.transport.errors import Refused, StreamEnded, Unreachable, stream_ended
from pslgs.transport.messages import encode_frame
from pslgs.transport.peer_text import one_line
from pslgs.transport.settings import (
    ADMITTED,
    DEFAULT_KEEPALIVE,
    HELLO_TIMEOUT_SECONDS,
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

BACK_OFF_SECONDS = 0.2
"""Maximum wait between the first two attempts; it doubles with each further attempt."""

BACK_OFF_LIMIT_SECONDS = 5.0
"""Maximum wait between two attempts."""

RECONNECT_SECONDS = BACK_OFF_LIMIT_SECONDS + HELLO_TIMEOUT_SECONDS
"""Maximum time between the starts of two attempts, unless the server asked the client to wait longer."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Target:
    """A server to connect to: ``host:port``, the identity to present, and the intervals of pings."""

    address: str
    identity: IdentitySource | None
    keepalive: Keepalive


@asynccontextmanager
async def connect(  # noqa: PLR0913 - the last has a default that only tests change
    address: str,
    identity: IdentitySource | None,
    hello: Hello,
    *,
    timeout_seconds: float,
    rng: random.Random,
    keepalive: Keepalive = DEFAULT_KEEPALIVE,
) -> AsyncIterator[Stream]:
    """Connect to the server at ``address``, with as many attempts as fit into ``timeout_seconds``.

    On exit, queued messages are still sent, and the server is given time to read them.

    Args:
        address: ``host:port``; the host must be in the certificate of the server.
        identity: Identity for mutual TLS, requested anew for each attempt; None disables TLS.
        hello: First message; its field ``protocol`` is set here.
        timeout_seconds: Maximum duration of all attempts together.
        rng: Source of the random part of the waits, which spreads the attempts of many clients.
        keepalive: Intervals of pings, which must be those of the server.

    Raises:
        Refused: the server does not admit this client.
        Unreachable: no server answered in time.
    """
    versioned = Hello()
    versioned.CopyFrom(hello)
    versioned.protocol = PROTOCOL_VERSION
    first = encode_frame(Header(hello=versioned))
    channel, call = await _dial(_Target(address, identity, keepalive), first, timeout_seconds, rng)
    stream = Stream()
    pumping = asyncio.create_task(
        stream.pump(partial(_read, call), partial(_write, call), partial(_half_close, call))
    )
    try:
        yield stream
    finally:
        stream.end(grpc.StatusCode.OK, "The client left.")
        await pumping
        await channel.close()


def back_off(rng: random.Random) -> Iterator[float]:
    """Yield the seconds to wait between attempts, each between half and all of a bound that doubles."""
    seconds = BACK_OFF_SECONDS
    while True:
        yield seconds * rng.uniform(0.5, 1.0)
        seconds = min(2 * seconds, BACK_OFF_LIMIT_SECONDS)


async def _dial(target: _Target, hello: bytes, timeout_seconds: float, rng: random.Random) -> tuple[Any, Any]:
    """Try to connect until the server admits this client, and return the gRPC channel and call."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    reported = ""
    for delay in back_off(rng):
        retry_seconds = 0.0
        identity = target.identity() if target.identity else None
        try:
            async with asyncio.timeout_at(min(loop.time() + HELLO_TIMEOUT_SECONDS, deadline)):
                return await _attempt(target, identity, hello)
        except Refused:
            raise
        except StreamEnded as error:
            problem, retry_seconds = str(error), error.retry_seconds
        except TimeoutError:
            problem = "there was no answer"
        if identity and (unusable := identity.problem_at(datetime.now(UTC))):
            problem = f"{problem}. {unusable}"
        if problem != reported:
            reported = problem
            _logger.info("not yet connected to %s: %s", target.address, one_line(problem))
        if loop.time() + max(delay, retry_seconds) >= deadline:
            break
        await asyncio.sleep(max(delay, retry_seconds))
    raise Unreachable(
        f"No server answered at {target.address} within {timeout_seconds:g} s; the last attempt: {problem}"
    )


async def _attempt(target: _Target, identity: Identity | None, hello: bytes) -> tuple[Any, Any]:
    async with AsyncExitStack() as stack:
        # Each attempt has a new channel: it resolves the name again, because the server may have moved, and
        # a channel that failed would add a back-off of its own.
        channel = await stack.enter_async_context(_channel(target, identity))
        call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
        await _write(call, hello)
        if ADMITTED not in tuple(await call.initial_metadata()):
            raise await _outcome(call)
        stack.pop_all()
        return channel, call


def _channel(target: _Target, identity: Identity | None) -> Any:  # noqa: ANN401 - grpc.aio has no types
    options = client_options(target.keepalive)
    if identity is None:
        return grpc.aio.insecure_channel(target.address, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=identity.ca_pem,
        private_key=identity.private_key_pem,
        certificate_chain=identity.certificate_pem,
    )
    return grpc.aio.secure_channel(target.address, credentials, options=options)


async def _read(call: Any) -> bytes:  # noqa: ANN401 - as above
    """Wait for the next message of the server."""
    try:
        message = await call.read()
    except grpc.aio.AioRpcError as error:
        raise _error_of(error) from error
    if message is grpc.aio.EOF:
        raise await _outcome(call)
    return bytes(message)


async def _write(call: Any, message: bytes) -> None:  # noqa: ANN401 - as above
    """Wait until gRPC has accepted ``message``."""
    try:
        await call.write(message)
    except grpc.aio.AioRpcError as error:
        raise _error_of(error) from error
    except (asyncio.InvalidStateError, grpc.aio.BaseError) as error:
        raise await _outcome(call) from error


async def _half_close(call: Any) -> None:  # noqa: ANN401 - as above
    """Tell the server that no further message follows."""
    with suppress(grpc.aio.BaseError):  # the call is over already
        await call.done_writing()


async def _outcome(call: Any) -> StreamEnded:  # noqa: ANN401 - as above
    """Wait for the status with which the call ends."""
    retry_seconds = _retry_seconds(await call.trailing_metadata() or ())
    return stream_ended(await call.code(), await call.details() or "", retry_seconds)


def _error_of(error: grpc.aio.AioRpcError) -> StreamEnded:
    return stream_ended(error.code(), error.details() or "", _retry_seconds(error.trailing_metadata() or ()))


def _retry_seconds(metadata: Iterable[tuple[str, str | bytes]]) -> float:
    """Return the seconds that the server asks this client to wait; 0 if they are missing or not a number."""
    milliseconds = dict(metadata).get(RETRY_AFTER, "0")
    if milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) <= 9:
        return min(int(milliseconds) / 1000, RETRY_LIMIT_SECONDS)
    return 0.0
