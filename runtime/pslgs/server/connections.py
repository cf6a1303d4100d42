"""The open sessions of clients, and the frames that are being sent on them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import grpc

from pslgs.transport.errors import StreamEnded
from pslgs.transport.grpc_server import Session

Sending = Callable[[Session], Coroutine[Any, Any, None]]
"""Sends one or more frames on a session."""


class ClientConnections:
    """Sends to many clients concurrently, so that a slow client does not delay others."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._sessions: dict[int, Session] = {}
        self._sending: dict[int, list[asyncio.Task[None]]] = {}
        self._bytes: Counter[tuple[str, str]] = Counter()

    def connect(self, session: Session) -> None:
        """Add a session."""
        self._sessions[session.number] = session
        session.count_into(self._bytes)

    def disconnect(self, session: Session) -> None:
        """Remove a session that has ended."""
        self.interrupt(session.number)
        self._sessions.pop(session.number, None)

    def send(self, number: int, sending: Sending, sent: Callable[[], None] = lambda: None) -> None:
        """Send frames on a session after all earlier ones; nothing if the session has ended.

        Args:
            number: Number of the session.
            sending: Sends the frames.
            sent: Called once the last frame was passed to the transport.
        """
        session = self._sessions.get(number)
        if session is not None:
            earlier = [task for task in self._sending.get(number, []) if not task.done()]
            task = self._tasks.create_task(_deliver(session, sending, sent, earlier))
            self._sending[number] = [*earlier, task]

    def broadcast(self, sending: Sending) -> None:
        """Send on all sessions."""
        for number in list(self._sessions):
            self.send(number, sending)

    def interrupt(self, number: int) -> None:
        """Cancel what is being sent on a session, between two frames."""
        for task in self._sending.pop(number, []):
            task.cancel()

    def end(self, number: int, status: grpc.StatusCode, reason: str) -> None:
        """End a session with a status and a reason for the client."""
        session = self._sessions.get(number)
        if session is not None:
            self.interrupt(number)
            session.end(status, reason)

    async def flush(self, seconds: float) -> None:
        """Wait at most ``seconds`` until everything is sent; drop the rest."""
        sending = [task for tasks in self._sending.values() for task in tasks]
        if sending:
            await asyncio.wait(sending, timeout=seconds)
        for number in list(self._sending):
            self.interrupt(number)

    def byte_counts(self) -> Counter[tuple[str, str]]:
        """Return the number of bytes since the start by direction (sent, received) and kind."""
        return self._bytes.copy()


async def _deliver(
    session: Session, sending: Sending, sent: Callable[[], None], earlier: list[asyncio.Task[None]]
) -> None:
    if earlier:
        await asyncio.wait(earlier)
    with suppress(StreamEnded):  # the session handler posts `Left` to the coordinator
        await sending(session)
        sent()
