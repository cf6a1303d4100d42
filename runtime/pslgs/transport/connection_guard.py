"""Watches the TCP connections of a server, and ends those that only cost it time and memory."""

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from time import monotonic, thread_time
from typing import Protocol, TypeVar

from pslgs.transport.acceptance import Acceptance
from pslgs.transport.connection_limits import Account, ConnectionLimits
from pslgs.transport.tcp_port import Look, Peer, network_of, peer_of

REVIEW_SECONDS = 0.1
"""Minimum time between two reviews."""

REVIEW_SHARE = 0.01
"""Part of a core that reviews take at most; thousands of connections are reviewed less often."""

REVIEW_SECONDS_LIMIT = 2.0
"""Maximum time between two reviews."""

T = TypeVar("T")
_NAMED = 3
_logger = logging.getLogger(__name__)

OnFlood = Callable[[str, Peer | None, str], None]
"""Function that is called with the name of a client, or else its host, with the peer whose connection was
ended, if it was one, and with a message."""


class Port(Protocol):
    """The connections of a port; see `TcpPort`."""

    def look(self) -> Look:
        """Return the bytes that came on each, and how many wait to be accepted."""

    def cut(self, peers: set[Peer]) -> set[Peer]:
        """End some, and return those that there were."""

    def shut_out(self, networks: Iterable[str]) -> None:
        """Accept new ones from all other networks only."""


class ConnectionGuard:
    """Keeps the accounts of the connections of a server, and compares them with what came."""

    def __init__(self, on_flood: OnFlood, clock: Callable[[], float] = monotonic) -> None:
        self._on_flood = on_flood
        self._clock = clock
        self._limits = ConnectionLimits()
        self._accounts: dict[Peer, Account] = {}
        self._shut_out: frozenset[str] = frozenset()
        self._not_applied: frozenset[str] | None = None
        self._acceptance = Acceptance()
        self._sees = True

    def account(self, peer: str, name: str) -> Account:
        """Return the account of the connection of a stream; ``peer`` is its address as gRPC writes it."""
        found = peer_of(peer)
        return Account(name) if found is None else self._accounts.setdefault(found, Account(name))

    async def watch(self, port: Port) -> None:
        """Review the connections of a port again and again.

        Raises:
            OSError: gRPC accepts no more, so that no client that is lost could return.
        """
        while True:
            seconds = await self.review(port)
            await asyncio.sleep(min(max(REVIEW_SECONDS, seconds / REVIEW_SHARE), REVIEW_SECONDS_LIMIT))

    async def review(self, port: Port) -> float:
        """Review all connections once, and return the seconds of CPU time that it took to look at them.

        If the system cannot tell of them now, for want of memory or descriptors, the next review does it.

        Raises:
            OSError: gRPC accepts no more (`Acceptance`).
        """
        accounts = dict(self._accounts)  # those that are opened meanwhile are of connections not yet seen
        try:
            look, seconds = await asyncio.to_thread(_timed, port.look)
        except OSError as error:
            if self._sees:
                _logger.warning("cannot look at the connections; trying again: %s", error)
            self._sees = False
            return REVIEW_SHARE * REVIEW_SECONDS_LIMIT
        if not self._sees:
            _logger.info("can look at the connections again")
        self._sees = True
        now, received = self._clock(), look.received
        if self._acceptance.has_ceased(now, look):
            raise OSError(errno.ENOTCONN, "gRPC has ceased to accept clients; start this server again")
        verdict = self._limits.review(now, received, accounts)
        cut = self._cut(port, {*verdict.flooding, *verdict.late})
        self._limits.record_cut(cut)
        for peer in cut & verdict.flooding.keys():
            self._report_flood(peer, verdict.flooding[peer], now)
        for network in verdict.fruitless:
            self._report_fruitless(network, now)
        for peer in accounts.keys() - received.keys():
            del self._accounts[peer]
        self._apply(port, self._limits.networks(now))
        return seconds

    def _cut(self, port: Port, peers: set[Peer]) -> set[Peer]:
        try:
            return port.cut(peers) if peers else set()
        except OSError as error:
            _logger.warning("cannot end the connections of %s: %s", ", ".join(map(str, peers)), error)
            return set()

    def _report_flood(self, peer: Peer, excess: int, now: float) -> None:
        seconds = self._limits.shut_out(network_of(peer.host), now)
        account = self._accounts.get(peer)
        self._on_flood(
            account.name if account else peer.host,
            peer,
            f"It sent {excess >> 20} MiB beyond its messages; the connection of {peer} was ended, and for "
            f"{seconds:.0f} s none is accepted from that address{self._neighbours(network_of(peer.host))}.",
        )

    def _report_fruitless(self, network: str, now: float) -> None:
        seconds = self._limits.shut_out(network, now)
        self._on_flood(
            network,
            None,
            "Its connections ended without a message, too many or after too many bytes; for "
            f"{seconds:.0f} s none is accepted from that address{self._neighbours(network)}.",
        )

    def _neighbours(self, network: str) -> str:
        """Name clients that are connected from a network, for whoever looks for the culprit."""
        names = sorted(
            {each.name for peer, each in self._accounts.items() if network_of(peer.host) == network}
        )
        more = ", …" if len(names) > _NAMED else ""
        return f", from which are connected: {', '.join(islice(names, _NAMED))}{more}" if names else ""

    def _apply(self, port: Port, networks: frozenset[str]) -> None:
        if networks == self._shut_out:
            return
        try:
            port.shut_out(networks)
        except OSError as error:
            if networks != self._not_applied:  # it is tried again in each review
                _logger.warning("cannot refuse connections by their address: %s", error)
            self._not_applied = networks
        else:
            self._shut_out, self._not_applied = networks, None


def _timed(look: Callable[[], T]) -> tuple[T, float]:
    began = thread_time()
    found = look()
    return found, thread_time() - began
