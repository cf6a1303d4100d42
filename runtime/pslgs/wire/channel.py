"""The client's end: a stream to the server, kept while it is used."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import grpc

from pslgs.identity.renewal import IdentitySource
from pslgs.wire import client_call
from pslgs.wire.dialling import Target, dial
from pslgs.wire.frames import encode
from pslgs.wire.limits import PROTOCOL_VERSION
from pslgs.wire.options import DEFAULT_KEEPALIVE, Keepalive
from pslgs.wire.stream import Stream
from pslgs.wire.v1.training_pb2 import Header, Hello


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
    first = encode(Header(hello=spoken))
    channel, call = await dial(Target(address, identity, keepalive), first, patience_seconds, rng)
    connection = Connection()
    carrying = asyncio.create_task(
        connection.carry(
            partial(client_call.read, call),
            partial(client_call.write, call),
            partial(client_call.half_close, call),
        )
    )
    try:
        yield connection
    finally:
        connection.end(grpc.StatusCode.OK, "The client left.")
        await carrying
        await channel.close()
