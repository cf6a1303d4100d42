"""Health of a client process: heartbeat of its event loop, and whether it is connected."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

HEARTBEAT_SECONDS: Final = 1.0
"""Interval between two heartbeats."""


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """The content of a client's /status.

    Attributes:
        client: Id of the client.
        heartbeat: Unix time in seconds at which the event loop last ran.
        connected: Whether a server has admitted it and the stream is open.
    """

    client: str
    heartbeat: float
    connected: bool

    def to_json(self) -> dict[str, object]:
        """Return the status as a JSON object."""
        return {"client": self.client, "heartbeat": self.heartbeat, "connected": self.connected}


class ClientHealth:
    """Health of a client; the event loop writes it, and HTTP threads read it.

    The heartbeat stops if the event loop is blocked.  Computations and loads run in other threads and do
    not stop it: a slow client is healthy, and the server decides how long it waits for an answer.

    Attributes:
        connected: Whether a server has admitted the client and the stream is open; the result of /readyz.
    """

    def __init__(self, client_id: str, now: Callable[[], float]) -> None:
        """Record a first heartbeat; ``now`` returns the Unix time in seconds."""
        self.connected = False
        self._client_id = client_id
        self._now = now
        self._heartbeat = now()

    async def run_heartbeat(self, seconds: float = HEARTBEAT_SECONDS) -> None:
        """Update the heartbeat every ``seconds`` until cancelled."""
        while True:
            self._heartbeat = self._now()
            await asyncio.sleep(seconds)

    def status(self) -> ClientStatus:
        """Return the content of /status."""
        return ClientStatus(self._client_id, self._heartbeat, self.connected)
