"""The open sessions of clients, and the frames that are sent on them."""

import asyncio
from collections import Counter
from collections.abc import Iterable

import grpc

from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import EncodedFrame


class ClientConnections:
    """Sends to many clients concurrently, so that a slow client does not delay others."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._bytes: Counter[tuple[str, str]] = Counter()

    def connect(self, session: Session) -> None:
        """Add a session."""
        self._sessions[session.number] = session
        session.count_into(self._bytes)

    def disconnect(self, session: Session) -> None:
        """Remove a session that has ended."""
        self._sessions.pop(session.number, None)

    def send(self, number: int, frames: Iterable[EncodedFrame]) -> asyncio.Future[bool] | None:
        """Send frames on a session after all earlier ones; see `Stream.post`.

        Returns:
            A future that is resolved with whether they were passed to the transport; None if there is no such
            session any more.
        """
        session = self._sessions.get(number)
        return None if session is None else session.post(frames)

    def broadcast(self, frames: Iterable[EncodedFrame]) -> None:
        """Send the same frames on all sessions."""
        same = tuple(frames)
        for session in self._sessions.values():
            session.post(same)

    def interrupt(self, number: int) -> None:
        """Drop what has still to be sent on a session."""
        session = self._sessions.get(number)
        if session is not None:
            session.discard_posted()

    def end(self, number: int, status: grpc.StatusCode, reason: str) -> None:
        """End a session with a status other than OK and a reason for the client; what waits is dropped."""
        session = self._sessions.get(number)
        if session is not None:
            session.end(status, reason)

    async def flush(self, seconds: float) -> None:
        """Wait at most ``seconds`` until everything is sent."""
        if everything := [session.post(()) for session in self._sessions.values()]:
            await asyncio.wait(everything, timeout=seconds)

    def byte_counts(self) -> Counter[tuple[str, str]]:
        """Return the number of bytes since the start by direction (sent, received) and kind."""
        return self._bytes.copy()
