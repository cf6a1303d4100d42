"""Open sessions of the clients, and what is being sent on each."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import grpc

from pslgs.transport.errors import StreamEnded
from pslgs.transport.grpc_server import Session

Sending = Callable[[Session], Coroutine[Any, Any, None]]
"""Sends one or more frames on a stream."""


class ClientConnections:
    """Sends to many clients at once; a slow one delays nobody but itself."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._sessions: dict[int, Session] = {}
        self._sending: dict[int, list[asyncio.Task[None]]] = {}
        self._bytes: Counter[tuple[str, str]] = Counter()

    def connect(self, session: Session) -> None:
        """Take in a new stream."""
        self._sessions[session.number] = session
        session.count_into(self._bytes)

    def disconnect(self, session: Session) -> None:
        """Forget a stream that is over."""
        self.interrupt(session.number)
        self._sessions.pop(session.number, None)

    def send(self, number: int, sending: Sending, sent: Callable[[], None] = lambda: None) -> None:
        """Send on a stream after all that was handed over before; nothing happens if it is over.

        Args:
            number: The session's.
            sending: Sends the frames.
            sent: Called once the stream has taken the last of them.
        """
        session = self._sessions.get(number)
        if session is not None:
            earlier = [task for task in self._sending.get(number, []) if not task.done()]
            task = self._tasks.create_task(_deliver(session, sending, sent, earlier))
            self._sending[number] = [*earlier, task]

    def broadcast(self, sending: Sending) -> None:
        """Send on all streams."""
        for number in list(self._sessions):
            self.send(number, sending)

    def interrupt(self, number: int) -> None:
        """Stop what is being sent on a stream, between two frames."""
        for task in self._sending.pop(number, []):
            task.cancel()

    def end(self, number: int, status: grpc.StatusCode, reason: str) -> None:
        """End a stream, telling the client why."""
        session = self._sessions.get(number)
        if session is not None:
            self.interrupt(number)
            session.end(status, reason)

    async def flush(self, seconds: float) -> None:
        """Wait until all is sent, but no longer than ``seconds``; what then is not sent is dropped."""
        sending = [task for tasks in self._sending.values() for task in tasks]
        if sending:
            await asyncio.wait(sending, timeout=seconds)
        for number in list(self._sending):
            self.interrupt(number)

    def bytes_so_far(self) -> Counter[tuple[str, str]]:
        """Count the bytes since the start by direction (sent, received) and kind."""
        return self._bytes.copy()


async def _deliver(
    session: Session, sending: Sending, sent: Callable[[], None], earlier: list[asyncio.Task[None]]
) -> None:
    if earlier:
        await asyncio.wait(earlier)
    with suppress(StreamEnded):  # whoever reads from the stream tells the coordinator
        await sending(session)
        sent()
