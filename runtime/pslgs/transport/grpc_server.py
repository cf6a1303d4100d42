"""The gRPC server: listens, checks the Hello of each client and runs a handler for each session."""

import asyncio
import errno
import itertools
import logging
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, NoReturn

import grpc
import grpc.aio

from pslgs.identity.identity import Identity, IdentitySource
from pslgs.transport.connection_guard import ConnectionGuard
from pslgs.transport.connection_limits import Account
from pslgs.transport.errors import (
    CONNECTION_LOST,
    FLOOD,
    NO_HELLO,
    STATUS_OF_ERRORS,
    StreamEnded,
    TryLater,
    refusal_reason,
    status_of,
    stream_ended,
)
from pslgs.transport.handshake import check_hello
from pslgs.transport.settings import (
    ADMITTED,
    DEFAULT_KEEPALIVE,
    HELLO_TIMEOUT_SECONDS,
    METHOD,
    RETRY_AFTER,
    SERVICE,
    STOP_SECONDS,
    Keepalive,
    server_options,
)
from pslgs.transport.stream import Stream
from pslgs.transport.tcp_port import Peer, TcpPort, peer_of
from pslgs.transport.v1.training_pb2 import Hello

_STOPPING = "The server is stopping."
_LEFT_EARLY = "It left before its Hello, or sent a message that is too long for gRPC."
_logger = logging.getLogger(__name__)


class Session(Stream):
    """The stream of one client, from its Hello to its end.

    Attributes:
        client_id: Id of the client; with TLS, the name in its certificate.
        peer: Address of the client as gRPC writes it, for logs.
        number: Number of the session, from 1; a client that reconnects gets a new session.
    """

    def __init__(self, client_id: str, peer: str, number: int) -> None:
        super().__init__()
        self.client_id = client_id
        self.peer = peer
        self.number = number


RefusalDelay = Callable[[str], float]
"""Function that returns for how many seconds the refusal of a client of that name is to be held back."""

HandleSession = Callable[[Session, Hello], Coroutine[Any, Any, None]]
"""Function that handles the session of a client; the stream ends when it returns."""

OnRefused = Callable[[str, str, str], None]
"""Function that is called with the name of a refused client, the name of the error and its message.

The name is that in its certificate, or else its host.
"""


class GrpcServer:
    """A gRPC server that runs a handler in a task of its own for each session.

    When the handler returns, queued messages are sent and the stream ends with OK.  When it raises an error
    of `STATUS_OF_ERRORS`, the stream ends with the status listed there; for any other error, it ends with
    INTERNAL and the traceback is logged.  If the client leaves, the handler is not cancelled; the methods of
    its session raise `StreamEnded`.
    """

    def __init__(  # noqa: PLR0913 - two hooks of refusals
        self,
        address: str,
        identity: IdentitySource | None,
        handle_session: HandleSession,
        *,
        on_refused: OnRefused = lambda *_: None,
        refusal_delay: RefusalDelay = lambda _: 0.0,
        keepalive: Keepalive = DEFAULT_KEEPALIVE,
    ) -> None:
        """Create a server that does not listen yet.

        Args:
            address: ``host:port`` to listen on; port 0 picks a free port.
            identity: Identity for mutual TLS with clients of the same authority, requested anew for each
                connection; None disables TLS.
            handle_session: Called for each admitted client.
            on_refused: Called for each refused client.  It is not called for clients whose certificate is
                not from the authority, because gRPC rejects them in the TLS handshake and tells nobody.
            refusal_delay: Called for each client that is refused, here or by an error of the handler.
            keepalive: Intervals of pings, which must be those of the clients.
        """
        self._address = address
        self._identity = identity
        self._handle_session = handle_session
        self._on_refused = on_refused
        self._refusal_delay = refusal_delay
        self._keepalive = keepalive
        self._numbers = itertools.count(1)
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._guard = ConnectionGuard(self._accuse)
        self._port = 0
        self._server: Any = None  # grpc.aio has no types

    async def start(self) -> int:
        """Start to listen, and return the port.

        Raises:
            OSError: the address cannot be used; ``errno`` is EADDRINUSE if another process listens there.
        """
        handlers = {METHOD: grpc.stream_stream_rpc_method_handler(self._serve)}
        self._server = grpc.aio.server(options=server_options(self._keepalive))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = _bind(self._server, self._address, self._identity)
        await self._server.start()
        self._port = port
        return port

    async def watch_connections(self) -> None:
        """End connections that cost more than their messages; a server that listens does this all the time.

        Only Linux tells what is needed for it.
        """
        if sys.platform == "linux":
            await self._guard.watch(TcpPort(self._port))

    async def stop(self, grace: float) -> None:
        """Stop to listen, and end all sessions.

        Sessions that have not ended after ``grace`` seconds are ended with UNAVAILABLE.
        """
        self._stopping = True
        await _wait(self._sessions, grace)
        for session in self._sessions.values():
            session.end(grpc.StatusCode.UNAVAILABLE, _STOPPING)
        await _wait(self._calls, STOP_SECONDS)
        await self._server.stop(STOP_SECONDS)
        for task in list(self._sessions):
            task.cancel()

    async def _serve(self, _requests: object, context: Any) -> None:  # noqa: ANN401 - grpc.aio has no types
        call = asyncio.create_task(self._run_session(context))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        await call

    async def _run_session(self, context: Any) -> None:  # noqa: ANN401 - as above
        certified = None if self._identity is None else _certified_names(context)
        account = self._guard.account(context.peer(), _name_of(context, certified))
        session = await self._admit(context, certified, account)
        # grpc.aio cancels this when the client is gone; `pump` then ends the stream for the handler.
        reason = await session.pump(partial(_read, context, account), partial(_write, context))
        if reason.status is not grpc.StatusCode.OK:
            await _abort(context, reason)

    async def _admit(
        self,
        context: Any,  # noqa: ANN401 - as above
        certified: Sequence[str] | None,
        account: Account,
    ) -> Session:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_SECONDS):
                message = await _read(context, account)
            hello = check_hello(message, certified)
        except asyncio.CancelledError:  # grpc.aio cancels this when the connection is gone
            self._on_refused(account.name, NO_HELLO, _LEFT_EARLY)
            raise
        except StreamEnded as reason:
            self._on_refused(account.name, NO_HELLO, _LEFT_EARLY)
            await _abort(context, reason)
        except tuple(STATUS_OF_ERRORS) as error:
            problem = str(error) or f"No hello came within {HELLO_TIMEOUT_SECONDS:.0f} s."
            self._on_refused(account.name, refusal_reason(error), problem)
            await asyncio.sleep(self._refusal_delay(account.name))
            await _abort(context, stream_ended(status_of(error), problem))
        await context.send_initial_metadata((ADMITTED,))
        # `stop` ends the sessions that exist; nothing may wait between this check and the new session.
        if self._stopping:
            await _abort(context, stream_ended(grpc.StatusCode.UNAVAILABLE, _STOPPING))
        account.admitted = True
        session = Session(hello.client_id, context.peer(), next(self._numbers))
        task = asyncio.create_task(self._handle_session(session, hello))
        self._sessions[task] = session
        task.add_done_callback(self._end_session)
        return session

    def _accuse(self, name: str, peer: Peer | None, problem: str) -> None:
        """Let a client answer for a flood: as for a violation in its session, or as one that is refused."""
        sessions = [
            each for each in self._sessions.values() if peer is not None and peer_of(each.peer) == peer
        ]
        for session in sessions:
            session.accuse(problem)
        if not sessions:
            self._on_refused(name, FLOOD, problem)

    def _end_session(self, task: asyncio.Task[None]) -> None:
        session = self._sessions.pop(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            session.end(grpc.StatusCode.OK, "")
        elif isinstance(error, StreamEnded):
            session.end(error.status, error.details)
        elif (status := status_of(error)) is not grpc.StatusCode.INTERNAL:
            retry_seconds = error.seconds if isinstance(error, TryLater) else 0.0
            delay = self._refusal_delay(session.client_id)
            asyncio.get_running_loop().call_later(delay, session.end, status, str(error), retry_seconds)
        else:
            _logger.error("the session of client %s failed", session.client_id, exc_info=error)
            session.end(status, "The server failed; its log says why.")


def _bind(server: Any, address: str, identity: IdentitySource | None) -> int:  # noqa: ANN401 - as above
    """Let ``server`` listen on ``address``, and return the port."""
    try:
        if identity is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, _credentials(identity)))
    except RuntimeError as error:
        raise _bind_error(address) from error


def _bind_error(address: str) -> OSError:
    # gRPC does not report the reason, so the operating system is asked to bind the address as well.
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


def _credentials(source: IdentitySource) -> Any:  # noqa: ANN401 - as above
    """Make credentials that use a renewed identity for new connections only."""
    current = source()

    def renewed() -> Any:  # noqa: ANN401 - as above
        """Return the new configuration, or None if there is none; gRPC calls this in a thread of its own."""
        nonlocal current
        previous, current = current, source()
        return None if current == previous else _configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(current), renewed, require_client_authentication=True
    )


def _configuration(identity: Identity) -> Any:  # noqa: ANN401 - as above
    return grpc.ssl_server_certificate_configuration(
        [(identity.private_key_pem, identity.certificate_pem)], root_certificates=identity.ca_pem
    )


async def _read(context: Any, account: Account) -> bytes:  # noqa: ANN401 - as above
    """Wait for the next message of the client, and count it."""
    try:
        message = await context.read()
    except grpc.aio.BaseError as error:
        raise stream_ended(grpc.StatusCode.CANCELLED, CONNECTION_LOST) from error
    if message is grpc.aio.EOF:
        # gRPC does not distinguish a client that closed its stream from one whose connection is lost.
        raise stream_ended(grpc.StatusCode.CANCELLED, "The client left, or its connection was lost.")
    account.add(len(message))
    return bytes(message)


async def _write(context: Any, message: bytes) -> None:  # noqa: ANN401 - as above
    """Wait until gRPC has accepted ``message``."""
    try:
        await context.write(message)
    except grpc.aio.BaseError as error:
        raise stream_ended(grpc.StatusCode.CANCELLED, CONNECTION_LOST) from error


async def _abort(context: Any, reason: StreamEnded) -> NoReturn:  # noqa: ANN401 - as above
    """End the call with the status of ``reason``, by the exception that grpc.aio requires for it."""
    metadata = ((RETRY_AFTER, str(round(reason.retry_seconds * 1000))),) if reason.retry_seconds else ()
    await context.abort(reason.status, reason.details, metadata)
    raise AssertionError("grpc.aio's abort always raises")


def _certified_names(context: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    """Return the subject alternative names of the client's certificate."""
    names = context.auth_context().get("x509_subject_alternative_name", ())
    return tuple(name.decode(errors="replace") for name in names)


def _name_of(context: Any, certified: Sequence[str] | None) -> str:  # noqa: ANN401 - as above
    """Return the name in a client's certificate, or else its host."""
    return certified[0] if certified and len(certified) == 1 else _host(context.peer())


def _host(peer: str) -> str:
    """Return gRPC's name of a peer without its port, such as ``ipv4:10.0.0.7``."""
    return peer.rpartition(":")[0] or peer


async def _wait(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> None:
    if pending := set(tasks):  # asyncio.wait raises ValueError for an empty set
        await asyncio.wait(pending, timeout=seconds)
