"""The gRPC server: listens, admits clients and hands each session to a handler."""

import asyncio
import errno
import itertools
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, NoReturn

import grpc
import grpc.aio

from pslgs.identity.identity import Identity, IdentitySource
from pslgs.transport.errors import LOST, STATUS_OF_ERRORS, StreamEnded, TryLater, ended, status_of
from pslgs.transport.handshake import admit
from pslgs.transport.settings import (
    ADMITTED,
    DEFAULT_KEEPALIVE,
    FAREWELL_SECONDS,
    HELLO_SECONDS,
    METHOD,
    RETRY_AFTER,
    SERVICE,
    Keepalive,
    server_options,
)
from pslgs.transport.stream import Stream
from pslgs.transport.v1.training_pb2 import Hello


async def read(context: Any) -> bytes:  # noqa: ANN401 - grpc.aio has no types
    """Wait for the client's next message."""
    try:
        message = await context.read()
    except grpc.aio.BaseError as error:
        raise ended(grpc.StatusCode.CANCELLED, LOST) from error
    if message is grpc.aio.EOF:
        # gRPC does not tell a client that closed its stream from one whose connection is gone.
        raise ended(grpc.StatusCode.CANCELLED, "The client left, or its connection was lost.")
    return bytes(message)


async def write(context: Any, message: bytes) -> None:  # noqa: ANN401 - as above
    """Wait until gRPC has taken ``message``."""
    try:
        await context.write(message)
    except grpc.aio.BaseError as error:
        raise ended(grpc.StatusCode.CANCELLED, LOST) from error


async def abort(context: Any, reason: StreamEnded) -> NoReturn:  # noqa: ANN401 - as above
    """End the call with the status of ``reason``; raises what tells grpc.aio that this is done."""
    metadata = ((RETRY_AFTER, str(round(reason.retry_seconds * 1000))),) if reason.retry_seconds else ()
    await context.abort(reason.status, reason.details, metadata)
    raise AssertionError("grpc.aio's abort always raises")


def certified_names(context: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    """List the subject alternative names of the client's certificate."""
    names = context.auth_context().get("x509_subject_alternative_name", ())
    return tuple(name.decode(errors="replace") for name in names)


def bind(server: Any, address: str, identity: IdentitySource | None) -> int:  # noqa: ANN401 - grpc.aio has no types
    """Let ``server`` listen at ``address`` (``host:port``), with mutual TLS if it has an identity.

    A renewed identity serves new connections; those that exist keep the one they were made with.

    Returns:
        The port, which the system chose if the address had 0.

    Raises:
        OSError: that is not possible; ``errno`` is EADDRINUSE where another process listens there.
    """
    try:
        if identity is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, _credentials(identity)))
    except RuntimeError as error:
        raise _reason(address) from error


def _credentials(source: IdentitySource) -> Any:  # noqa: ANN401 - as above
    served = source()

    def renewed() -> Any:  # noqa: ANN401 - as above
        """Called by gRPC, in a thread of its own, for each new connection; None changes nothing."""
        nonlocal served
        before, served = served, source()
        return None if served == before else _configuration(served)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(served), renewed, require_client_authentication=True
    )


def _configuration(identity: Identity) -> Any:  # noqa: ANN401 - as above
    return grpc.ssl_server_certificate_configuration(
        [(identity.private_key_pem, identity.certificate_pem)], root_certificates=identity.ca_pem
    )


def _reason(address: str) -> OSError:
    # gRPC does not say why it cannot listen, so the system is asked.
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(target)
            probe.listen()
    except OSError as error:
        return OSError(error.errno, error.strerror, address)
    return OSError(errno.EADDRNOTAVAIL, "gRPC cannot listen there", address)


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
"""Told who was refused, the error's name (``IdentityMismatch`` …) and its message."""


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
        reason = await session.carry(partial(read, context), partial(write, context))
        if reason.status is not grpc.StatusCode.OK:
            await abort(context, reason)

    async def _admit(self, context: Any) -> Session:  # noqa: ANN401 - as above
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                message = await read(context)
            hello = admit(message, None if self._identity is None else certified_names(context))
        except StreamEnded as reason:
            await abort(context, reason)
        except tuple(STATUS_OF_ERRORS) as error:
            problem = str(error) or f"No hello came within {HELLO_SECONDS:.0f} s."
            if self._refused is not None:
                self._refused(_host(context.peer()), type(error).__name__, problem)
            await abort(context, ended(status_of(error), problem))
        if self._stopping:
            await abort(context, ended(grpc.StatusCode.UNAVAILABLE, STOPPING))
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
