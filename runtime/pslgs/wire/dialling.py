"""How a client finds its server: attempts with a back-off between them, until its patience is at an end."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from pslgs.identity.renewal import IdentitySource
from pslgs.wire import client_call
from pslgs.wire.errors import Refused, StreamEnded, Unreachable
from pslgs.wire.limits import HELLO_SECONDS
from pslgs.wire.options import ADMITTED, METHOD, SERVICE, Keepalive, client_options

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
        await client_call.write(call, hello)
        if ADMITTED not in tuple(await call.initial_metadata()):
            raise await client_call.outcome(call)
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
