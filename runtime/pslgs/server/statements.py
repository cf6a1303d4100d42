"""Statements of the connected clients about their data, and the wait until clients agree."""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import grpc

from pslgs.coordination.agreement import Agreed, Agreement
from pslgs.server.client_faults import ClientFaults
from pslgs.server.hello_checks import classes_mismatch
from pslgs.spec.errors import InputError
from pslgs.transport.errors import ClientFailed, ProtocolViolation, refusal_reason, status_of
from pslgs.transport.grpc_server import Session
from pslgs.transport.peer_text import one_line

_POLL_SECONDS = 0.25
Value = TypeVar("Value", bound=Hashable)


@dataclass(slots=True, eq=False)
class Statement(Generic[Value]):
    """A value that a client states on one session.

    Attributes:
        session: The session.
        value: The value.
        settled: Resolved once the client need not wait any longer.
    """

    session: Session
    value: Value
    settled: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Statements(Generic[Value]):
    """The statements of the connected clients, one each, that of its newest session."""

    def __init__(self, agreement: Agreement[Value], clock: Callable[[], float]) -> None:
        self._agreement = agreement
        self._clock = clock
        self._open: dict[str, Statement[Value]] = {}
        self._changed = asyncio.Event()

    @contextmanager
    def stating(self, session: Session, value: Value) -> Iterator[Statement[Value]]:
        """Count a client's statement while the block runs.

        An older session of the client is ended if it still waits; if it has joined, the coordinator ends it.
        """
        client = session.client_id
        older = self._open.get(client)
        if older is not None and not older.settled.done():
            older.session.end(grpc.StatusCode.ALREADY_EXISTS, "A newer connection took this client's place.")
        statement = self._open[client] = Statement(session, value)
        self._agreement.state(client, value, self._clock())
        self._changed.set()
        try:
            yield statement
        finally:
            if self._open.get(client) is statement:
                del self._open[client]
                self._agreement.withdraw(client)

    def agreed(self) -> Agreed[Value] | None:
        """Return the value that clients agree on now; None if there is none."""
        return self._agreement.agreed(self._clock())

    async def wait_for_agreement(self) -> Agreed[Value]:
        """Wait until clients agree."""
        while (agreed := self.agreed()) is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _POLL_SECONDS)
            self._changed.clear()
        return agreed

    def counts(self) -> list[tuple[Value, int]]:
        """List the stated values with their numbers of clients, most frequent first."""
        return self._agreement.counts()

    def open(self) -> list[Statement[Value]]:
        """List the statements of the connected clients."""
        return list(self._open.values())


def _resolved_future() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


async def wait_until(session: Session, settled: asyncio.Future[Any]) -> None:
    """Wait until ``settled`` is resolved; the client must not send anything meanwhile.

    Raises:
        StreamEnded: the stream ended.
        ClientFailed: the client reported that it cannot continue.
        ProtocolViolation: the client sent something.
    """
    receiving = asyncio.ensure_future(session.receive())
    try:
        await asyncio.wait({receiving, settled}, return_when=asyncio.FIRST_COMPLETED)
        if receiving.done():
            header = receiving.result().header
            if header.HasField("failure"):
                raise ClientFailed(one_line(header.failure.message))
            raise ProtocolViolation(f"A {header.WhichOneof('body')} came before the server's welcome.")
        settled.result()
    finally:
        receiving.cancel()


def refuse(session: Session, faults: ClientFaults, error: InputError) -> None:
    """Refuse a client because of its statement: end its session and count the refusal."""
    faults.refused(session.client_id, refusal_reason(error), str(error))
    session.end(status_of(error), str(error))


class ClassNames:
    """Admits the clients whose class names are those that clients agree on."""

    def __init__(
        self,
        statements: Statements[tuple[str, ...]],
        faults: ClientFaults,
        manifest: tuple[str, ...] | None = None,
    ) -> None:
        """Make it with the names in the manifest; None if clients have to agree on them."""
        self._statements = statements
        self._manifest = manifest
        self._faults = faults
        self._waiting: dict[int, Statement[tuple[str, ...]]] = {}
        self._applied: Agreed[tuple[str, ...]] | None = None
        self._follower: Callable[[tuple[str, ...]], None] | None = None

    def follow(self, follower: Callable[[tuple[str, ...]], None]) -> None:
        """Call ``follower`` with the agreed names, now and whenever they change, before clients join."""
        self._follower = follower
        if self._applied is not None:
            follower(self._applied.value)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, of the manifest or as clients agree on them; empty while they are unknown."""
        if self._manifest is not None:
            return self._manifest
        return () if self._applied is None else self._applied.value

    @contextmanager
    def stating(self, session: Session, names: tuple[str, ...]) -> Iterator[asyncio.Future[None]]:
        """Count a client's class names while the block runs; yield a future that it has to wait for.

        The future is already resolved for a client whose data have no class names.

        Raises:
            ClassesMismatch: the names are not those of the manifest.
        """
        if not names or self._manifest is not None:
            if names and names != self._manifest:
                raise classes_mismatch(names, self._manifest or (), "those of the manifest")
            yield _resolved_future()
            return
        with self._statements.stating(session, names) as statement:
            self._waiting[session.number] = statement
            self.review()
            try:
                yield statement.settled
            finally:
                self._waiting.pop(session.number, None)

    def review(self) -> None:
        """Admit or refuse waiting clients by the present agreement, and end joined ones if it has changed."""
        agreed = self._statements.agreed()
        if agreed is None:
            self._applied = None
            return
        if agreed != self._applied:
            self._applied = agreed
            if self._follower is not None:
                self._follower(agreed.value)
            for statement in self._statements.open():
                if statement.settled.done() and statement.value != agreed.value:
                    self._end_session(statement, agreed)
        for number, statement in list(self._waiting.items()):
            if statement.value == agreed.value:
                del self._waiting[number]
                statement.settled.set_result(None)
            elif agreed.proved:
                del self._waiting[number]
                refuse(statement.session, self._faults, self._error(statement, agreed))

    def _end_session(self, statement: Statement[tuple[str, ...]], agreed: Agreed[tuple[str, ...]]) -> None:
        """End the session of a client that joined with other names; it may return unless these are proved."""
        error = self._error(statement, agreed)
        if agreed.proved:
            refuse(statement.session, self._faults, error)
        else:
            statement.session.end(grpc.StatusCode.UNAVAILABLE, str(error))

    @staticmethod
    def _error(statement: Statement[tuple[str, ...]], agreed: Agreed[tuple[str, ...]]) -> InputError:
        return classes_mismatch(statement.value, agreed.value, "those of most clients")
