"""A server and its clients in one process, over real gRPC on the loopback interface."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from pslgs.identity.identity import Identity, IdentitySource
from pslgs.transport.client_connection import connect
from pslgs.transport.errors import StreamEnded
from pslgs.transport.grpc_server import GrpcServer, OnRefused, RefusalDelay, Session
from pslgs.transport.messages import control_frame
from pslgs.transport.settings import DEFAULT_KEEPALIVE, Keepalive
from pslgs.transport.stream import Stream
from pslgs.transport.v1.training_pb2 import Hello

DEADLINE = 20.0
"""Maximum seconds of any wait in a test."""


@dataclass
class Served:
    """A running server and what became of its sessions."""

    port: int
    server: GrpcServer
    sessions: asyncio.Queue[Session]
    ended: dict[int, StreamEnded] = field(default_factory=dict)
    all_ended: asyncio.Condition = field(default_factory=asyncio.Condition)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def session(self) -> Session:
        """Wait for the next client."""
        async with asyncio.timeout(DEADLINE):
            return await self.sessions.get()

    async def end_of(self, session: Session) -> StreamEnded:
        """Wait until the handler of ``session`` has received the end of its stream."""
        async with asyncio.timeout(DEADLINE), self.all_ended:
            await self.all_ended.wait_for(lambda: session.number in self.ended)
            return self.ended[session.number]


def source(identity: Identity | IdentitySource | None) -> IdentitySource | None:
    """Return an identity source; an identity becomes a source that always returns it."""
    return (lambda: identity) if isinstance(identity, Identity) else identity


Attendant = Callable[[Session], Awaitable[None]]


async def echo(session: Session) -> None:
    """Send every frame's header back."""
    while True:
        await session.send([control_frame((await session.receive()).header)])


async def receive_all(stream: Stream) -> None:
    """Receive until the end, and send nothing."""
    while True:
        await stream.receive()


@asynccontextmanager
async def serving(
    attendant: Attendant = echo,
    *,
    identity: Identity | IdentitySource | None = None,
    address: str = "127.0.0.1:0",
    keepalive: Keepalive = DEFAULT_KEEPALIVE,
    on_refused: OnRefused = lambda *_: None,
    refusal_delay: RefusalDelay = lambda _: 0.0,
) -> AsyncIterator[Served]:
    async def attend(session: Session, hello: Hello) -> None:
        served.sessions.put_nowait(session)
        try:
            await attendant(session)
        except StreamEnded as reason:
            async with served.all_ended:
                served.ended[session.number] = reason
                served.all_ended.notify_all()

    def refused(who: str, reason: str, problem: str) -> None:
        served.refused[reason] += 1
        on_refused(who, reason, problem)

    server = GrpcServer(
        address,
        source(identity),
        attend,
        on_refused=refused,
        refusal_delay=refusal_delay,
        keepalive=keepalive,
    )
    served = Served(port=0, server=server, sessions=asyncio.Queue())
    served.port = await server.start()
    try:
        yield served
    finally:
        await server.stop(0)


def connecting(
    address: str,
    identity: Identity | IdentitySource | None = None,
    *,
    client_id: str = "client-0",
    timeout_seconds: float = DEADLINE,
    keepalive: Keepalive = DEFAULT_KEEPALIVE,
) -> AbstractAsyncContextManager[Stream]:
    return connect(
        address,
        source(identity),
        Hello(client_id=client_id),
        timeout_seconds=timeout_seconds,
        rng=random.Random(0),  # noqa: S311 - spreads attempts to connect, protects nothing
        keepalive=keepalive,
    )
