"""A network between virtual processes: what grpc.aio offers, with delays and faults instead of sockets."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio

from pslgs.transport.settings import METHOD, SERVICE
from virtual_processes.loop import PROCESS, context_of

MESSAGES_ON_THE_WAY = 8
"""Messages of a stream that its reader has not taken yet, beyond which the writer waits."""

SERVER = "server"
"""Name of the server's process; those of the clients have their names."""

Pairs = Iterable[tuple[str, str]]


def lost(details: str = "Connection reset by peer") -> grpc.aio.AioRpcError:
    """Return the error of a connection that is gone."""
    return error_of(grpc.StatusCode.UNAVAILABLE, details)


def error_of(status: grpc.StatusCode, details: str, metadata: Pairs = ()) -> grpc.aio.AioRpcError:
    """Return the error with which a call ends."""
    return grpc.aio.AioRpcError(status, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), details)


class Pipe:
    """One direction of a stream, with one writer and one reader; what is sent arrives in order."""

    def __init__(self, link: "Link") -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[bytes] = deque()
        self._on_the_way = 0
        self._last = 0.0
        self._end: BaseException | None = None
        self._refused: BaseException | None = None
        self._changed = asyncio.Event()

    async def put(self, message: bytes) -> None:
        """Send a message, once there is room for it."""
        while self._on_the_way >= MESSAGES_ON_THE_WAY and self._refused is None and self._end is None:
            await self._wait()
        if error := self._refused or self._end:
            raise error
        self._on_the_way += 1
        self._at_arrival(lambda: self._arrive(message))

    async def get(self) -> bytes:
        """Return the next message; raises the error with which the pipe ended if there is none."""
        while not self._arrived:
            if self._end is not None:
                raise self._end
            await self._wait()
        self._on_the_way -= 1
        self._changed.set()
        return self._arrived.popleft()

    def refuse(self, error: BaseException) -> None:
        """Accept no further message from the writer; the reader learns nothing."""
        self._refused = self._refused or error
        self._changed.set()

    def end(self, error: BaseException) -> None:
        """End it behind what was sent."""
        self._at_arrival(lambda: self._finish(error))

    def break_(self, error: BaseException) -> None:
        """End it at once; what is on its way is lost."""
        self._arrived.clear()
        self._finish(error)

    def _at_arrival(self, do: Callable[[], None]) -> None:
        def arrive() -> None:
            if self._loop.time() < self._link.held_until:
                self._loop.call_at(self._link.held_until, arrive)
            else:
                do()

        self._last = max(self._last, self._loop.time() + self._link.delay())
        self._loop.call_at(self._last, arrive)

    def _arrive(self, message: bytes) -> None:
        if self._end is None and not self._link.broken:
            self._arrived.append(message)
            self._changed.set()

    def _finish(self, error: BaseException) -> None:
        self._end = self._end or error
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class HalfClosed(Exception):  # noqa: N818 - no error
    """The client sends no further message."""


class Link:
    """A call: the stream of one client.

    Attributes:
        client: Name of the client.
        broken: Whether nothing arrives any more.
        held_until: Time until which nothing arrives.
    """

    def __init__(self, client: str, rng: random.Random, latency: float) -> None:
        self.client = client
        self.broken = False
        self.held_until = 0.0
        self.latency = latency
        self.up, self.down = Pipe(self), Pipe(self)
        self.admitted: asyncio.Future[Pairs] = asyncio.get_running_loop().create_future()
        self.outcome: asyncio.Future[grpc.aio.AioRpcError | None] = asyncio.get_running_loop().create_future()
        self.handler: asyncio.Task[None] | None = None
        self._rng = rng

    def delay(self) -> float:
        """Return how long a message takes."""
        return self.latency * self._rng.uniform(0.5, 1.5)

    def break_(self, server_notices_after: float | None = None) -> None:
        """Lose it; the client notices soon, the server as well unless told otherwise."""
        loop = asyncio.get_running_loop()
        self.broken = True
        loop.call_later(self.delay(), self.client_notices)
        after = self.delay() if server_notices_after is None else server_notices_after
        loop.call_later(after, self.server_notices)

    def client_notices(self) -> None:
        self.finish(lost())
        self.down.break_(lost())

    def server_notices(self) -> None:
        if self.handler is not None:
            self.handler.cancel()

    def finish(self, error: grpc.aio.AioRpcError | None) -> None:
        """Give the client the outcome of the call."""
        if not self.outcome.done():
            self.outcome.set_result(error)
            self.up.refuse(error or lost())
            self.down.end(error or HalfClosed())
        if not self.admitted.done():
            self.admitted.set_result(())


class Context:
    """A call as its handler at the server sees it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def read(self) -> Any:
        try:
            return await self._link.up.get()
        except HalfClosed:
            return grpc.aio.EOF

    async def write(self, message: bytes) -> None:
        await self._link.down.put(message)

    async def send_initial_metadata(self, metadata: Pairs) -> None:
        link = self._link

        def admit() -> None:
            if not link.admitted.done() and not link.broken:
                link.admitted.set_result(metadata)

        asyncio.get_running_loop().call_later(link.delay(), admit)

    async def abort(self, status: grpc.StatusCode, details: str, metadata: Pairs) -> None:
        self._link.finish(error_of(status, details, metadata))
        raise grpc.aio.AbortError

    def auth_context(self) -> dict[str, Any]:
        return {}

    def peer(self) -> str:
        return f"virtual:{self._link.client}"


class Call:
    """A call as its client sees it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def write(self, message: bytes) -> None:
        await self._link.up.put(message)

    async def read(self) -> Any:
        try:
            return await self._link.down.get()
        except HalfClosed:
            return grpc.aio.EOF

    async def done_writing(self) -> None:
        self._link.up.end(HalfClosed())

    async def initial_metadata(self) -> Pairs:
        return await asyncio.shield(self._link.admitted)

    async def trailing_metadata(self) -> Pairs:
        error = await asyncio.shield(self._link.outcome)
        return () if error is None else error.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        error = await asyncio.shield(self._link.outcome)
        return grpc.StatusCode.OK if error is None else error.code()

    async def details(self) -> str:
        error = await asyncio.shield(self._link.outcome)
        return "" if error is None else error.details() or ""


class Server:
    """What `grpc.aio.server` returns."""

    def __init__(self, network: "Network") -> None:
        self._network = network
        self._handle: Callable[..., Any] = lambda *_: None

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        (handler,) = handlers
        details = SimpleNamespace(method=f"/{SERVICE}/{METHOD}", invocation_metadata=())
        self._handle = handler.service(details).stream_stream

    def add_insecure_port(self, _address: str) -> int:
        return 7443

    async def start(self) -> None:
        self._network.listening = self

    async def stop(self, _grace: float) -> None:
        if self._network.listening is self:
            self._network.listening = None

    def accept(self, link: Link) -> None:
        """Handle a call."""
        handling = self._run(link)
        link.handler = asyncio.get_running_loop().create_task(handling, context=context_of(SERVER))

    async def _run(self, link: Link) -> None:
        with suppress(grpc.aio.AbortError, asyncio.CancelledError):
            await self._handle(None, Context(link))
        link.finish(None)


class Channel:
    """What `grpc.aio.insecure_channel` returns."""

    def __init__(self, network: "Network") -> None:
        self._network = network
        self._links: list[Link] = []

    async def __aenter__(self) -> "Channel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for link in self._links:
            link.finish(lost("Channel closed!"))
            asyncio.get_running_loop().call_later(link.delay(), link.server_notices)

    def stream_stream(self, _method: str) -> Callable[[], Call]:
        return self._call

    def _call(self) -> Call:
        link = self._network.connect()
        self._links.append(link)
        return Call(link)


class Network:
    """All streams between the clients and the one server.

    Attributes:
        links: The streams that were opened, by client; the newest one counts.
        listening: The server that listens; None for none.
        slow: Clients whose next streams are slow, and how often.
    """

    def __init__(self, rng: random.Random, latencies: dict[str, float]) -> None:
        self.links: dict[str, Link] = {}
        self.listening: Server | None = None
        self._rng = rng
        self._latencies = latencies

    def connect(self) -> Link:
        """Open a stream of the client whose process this is."""
        name = PROCESS.get()
        link = Link(name, self._rng, self._latencies[name])
        self.links[name] = link
        server = self.listening
        if server is None:
            asyncio.get_running_loop().call_later(link.delay(), link.client_notices)
        else:
            server.accept(link)
        return link

    def cut(self) -> None:
        """Break all streams, as the end of the server's process does."""
        self.listening = None
        for link in self.links.values():
            link.break_(server_notices_after=0.0)
