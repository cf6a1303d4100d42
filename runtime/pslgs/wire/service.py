"""The server's end: admits clients, and hands each stream to a callback."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import grpc
import grpc.aio

from pslgs.identity.renewal import IdentitySource
from pslgs.wire import server_call
from pslgs.wire.admission import admit
from pslgs.wire.errors import STATUS_OF_ERRORS, StreamEnded, TryLater, ended, status_of
from pslgs.wire.limits import FAREWELL_SECONDS, HELLO_SECONDS
from pslgs.wire.listening import bind
from pslgs.wire.options import ADMITTED, DEFAULT_KEEPALIVE, METHOD, SERVICE, Keepalive, server_options
from pslgs.wire.stream import Stream
from pslgs.wire.v1.training_pb2 import Hello

logger = logging.getLogger(__name__)

STOPPING = "The server is stopping."


class Session(Stream):
    """One client's stream, from its Hello to its end.

    Attributes:
        client_id: The client's id, as its certificate says.
        peer: Its address, for logs.
        number: Counts the server's sessions; a client that comes back gets a new one.
    """

    def __init__(self, client_id: str, peer: str, number: int) -> None:
        super().__init__()
        self.client_id = client_id
        self.peer = peer
        self.number = number


Attend = Callable[[Session, Hello], Coroutine[Any, Any, None]]
Refusal = Callable[[str, str, str], None]
"""Told who was refused, the error's name (``Impostor`` …) and its message."""


class WireServer:
    """A gRPC server whose every stream is attended by a callback in a task of its own.

    The stream ends with OK once the callback returns, after what is queued is sent; with the status of
    `STATUS_OF_ERRORS` if it raises one of those errors; with INTERNAL, and a traceback in the log, if it
    raises another.  The callback is never cancelled because its client left: it gets a `StreamEnded`.
    """

    def __init__(
        self,
        address: str,
        identity: IdentitySource | None,
        attend: Attend,
        *,
        refused: Refusal | None = None,
        keepalive: Keepalive = DEFAULT_KEEPALIVE,
    ) -> None:
        """Prepare a server; nothing happens before `start`.

        Args:
            address: ``host:port`` to listen at; port 0 lets the system choose.
            identity: For mutual TLS with clients of the same authority, asked for at each connection;
                None for no TLS at all.
            attend: Called for each client that is admitted.
            refused: Called when a client is not admitted, with its host instead of its id, which is not
                proved then.  Strangers, whose certificate is not of the authority, fail in gRPC's handshake
                and are not told of.
            keepalive: As the clients' own.
        """
        self._address = address
        self._identity = identity
        self._attend = attend
        self._refused = refused
        self._keepalive = keepalive
        self._numbers = itertools.count(1)
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._server: Any = None  # grpc.aio has no types

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            OSError: the address cannot be listened at; ``errno`` is EADDRINUSE where another process does.
        """
        handlers = {METHOD: grpc.stream_stream_rpc_method_handler(self._serve)}
        self._server = grpc.aio.server(options=server_options(self._keepalive))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = bind(self._server, self._address, self._identity)
        await self._server.start()
        return port

    async def stop(self, grace: float) -> None:
        """Give sessions ``grace`` seconds to end by themselves, end the rest with UNAVAILABLE, and close."""
        self._stopping = True
        await _wait(self._sessions, grace)
        for session in self._sessions.values():
            session.end(grpc.StatusCode.UNAVAILABLE, STOPPING)
        await _wait(self._calls, FAREWELL_SECONDS)
        await self._server.stop(FAREWELL_SECONDS)
        for task in list(self._sessions):
            task.cancel()

    async def _serve(self, _requests: object, context: Any) -> None:  # noqa: ANN401 - grpc.aio has no types
        call = asyncio.create_task(self._converse(context))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        await call

    async def _converse(self, context: Any) -> None:  # noqa: ANN401 - as above
        session = await self._admit(context)
        # grpc.aio cancels this when the client is gone; the session tells its callback.
        reason = await session.carry(partial(server_call.read, context), partial(server_call.write, context))
        if reason.status is not grpc.StatusCode.OK:
            await server_call.abort(context, reason)

    async def _admit(self, context: Any) -> Session:  # noqa: ANN401 - as above
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                message = await server_call.read(context)
            hello = admit(message, None if self._identity is None else server_call.certified_names(context))
        except StreamEnded as reason:
            await server_call.abort(context, reason)
        except tuple(STATUS_OF_ERRORS) as error:
            problem = str(error) or f"No hello came within {HELLO_SECONDS:.0f} s."
            if self._refused is not None:
                self._refused(_host(context.peer()), type(error).__name__, problem)
            await server_call.abort(context, ended(status_of(error), problem))
        if self._stopping:
            await server_call.abort(context, ended(grpc.StatusCode.UNAVAILABLE, STOPPING))
        await context.send_initial_metadata((ADMITTED,))
        return self._open(Session(hello.client_id, context.peer(), next(self._numbers)), hello)

    def _open(self, session: Session, hello: Hello) -> Session:
        task = asyncio.create_task(self._attend(session, hello))
        self._sessions[task] = session
        task.add_done_callback(self._attended)
        return session

    def _attended(self, task: asyncio.Task[None]) -> None:
        session = self._sessions.pop(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            session.end(grpc.StatusCode.OK, "")
        elif isinstance(error, StreamEnded):
            session.end(error.status, error.details)
        elif isinstance(error, TryLater):
            session.end(status_of(error), str(error), error.seconds)
        elif (status := status_of(error)) is not grpc.StatusCode.INTERNAL:
            session.end(status, str(error))
        else:
            logger.error("Attending client %s failed.", session.client_id, exc_info=error)
            session.end(status, "The server failed; its log says why.")


def _host(peer: str) -> str:
    """Return gRPC's name of a peer without its port: ``ipv4:10.0.0.7``."""
    return peer.rpartition(":")[0] or peer


async def _wait(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> None:
    # asyncio.wait refuses an empty set.
    if pending := set(tasks):
        await asyncio.wait(pending, timeout=seconds)
