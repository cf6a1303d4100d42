"""What a client shows on its HTTP port of its own health."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

BEAT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """What a client's /status shows.

    Attributes:
        client: Its id.
        heartbeat: Unix time in seconds at which the event loop last ran.
        connected: Whether a server has admitted it and the stream is open.
    """

    client: str
    heartbeat: float
    connected: bool

    def to_json(self) -> dict[str, object]:
        """Return what is shown."""
        return {"client": self.client, "heartbeat": self.heartbeat, "connected": self.connected}


class ClientHealth:
    """Written by the event loop, read by the threads that answer HTTP requests.

    The heartbeat stops with the event loop.  It goes on during a computation or a load, however long they
    take: a slow client is not a dead one, and the server decides how long it waits for an answer.

    Attributes:
        connected: See `ClientStatus`; also what /readyz says.
    """

    def __init__(self, client_id: str, now: Callable[[], float]) -> None:
        """Begin with a first heartbeat; ``now`` gives the Unix time in seconds."""
        self.connected = False
        self._client_id = client_id
        self._now = now
        self._heartbeat = now()

    async def keep_beating(self, seconds: float = BEAT_SECONDS) -> None:
        """Set the heartbeat every so many seconds, until cancelled."""
        while True:
            self._heartbeat = self._now()
            await asyncio.sleep(seconds)

    def status(self) -> ClientStatus:
        """Return what /status shows."""
        return ClientStatus(self._client_id, self._heartbeat, self.connected)
