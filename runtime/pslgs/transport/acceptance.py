"""Tells when gRPC accepts no more connections, which it says to nobody.

If the system has no memory or no descriptor for a connection, gRPC gives up its listening socket for good.
Then the socket is closed, or it stays and connections to it wait for ever.
"""

from pslgs.transport.tcp_port import Look, Peer

PATIENCE_SECONDS = 5.0
"""Time without a connection that is accepted, while some wait, after which gRPC accepts no more."""

LONGEST_STEP_SECONDS = 1.0
"""Time between two looks that counts at most: a process that was stopped meanwhile could not accept any."""


class Acceptance:
    """Remembers between looks since when no connection has been accepted although it had to be."""

    def __init__(self) -> None:
        self._looked = 0.0
        self._seconds = 0.0
        self._peers: frozenset[Peer] = frozenset()

    def has_ceased(self, now: float, look: Look) -> bool:
        """Return whether gRPC accepts no more, by a look at its port at the time ``now`` in seconds."""
        peers = frozenset(look.received)
        if look.waiting == 0 or peers - self._peers:
            self._seconds = 0.0
        else:
            self._seconds += min(now - self._looked, LONGEST_STEP_SECONDS)
        self._looked, self._peers = now, peers
        return self._seconds >= PATIENCE_SECONDS
