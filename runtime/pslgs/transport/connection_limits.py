"""Decides which connections a server ends, and from which addresses it accepts none for a while.

A server knows what it has been told on a connection, and Linux what came on it.  Whoever sends far more than
that (HTTP/2 frames of no use, headers without end), or opens connections that come to nothing, makes gRPC
work, which says nothing of it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pslgs.transport.settings import MESSAGE_LIMIT
from pslgs.transport.tcp_port import Peer, network_of

STRANGER_BYTES = 2 * MESSAGE_LIMIT
"""Bytes that a connection may have received beyond its messages before one of its streams is admitted.

That is a Hello which is on its way, as often again, and the handshake.
"""

CLIENT_BYTES = 64 << 20
"""The same after that: what is on its way of a large local batch, between the system and gRPC."""

EXTRA_BYTES_A_SECOND = 32 << 10
"""Rate at which excess bytes are forgotten: pings, window updates and whatever else is not counted."""

MESSAGE_BYTES = 256
"""Bytes of a message's way through gRPC, HTTP/2 and TLS that are not its own, at most."""

MESSAGE_SHARE = 0.02
"""The same as a part of a long message, which has a header in each frame and each record of TLS."""

FRUITLESS_CONNECTIONS = 10
"""Connections that ended without a message, beyond those with one, after which an address is shut out."""

FRUITLESS_BYTES = 256 << 10
"""Bytes of such a connection that count like a further one."""

FRUITLESS_A_SECOND = 1.0
"""Rate at which they are forgotten: probes of load balancers, clients with expired certificates."""

SHUT_OUT_SECONDS = 10.0
"""Time for which an address is shut out first; each further time is twice as long."""

SHUT_OUT_LONGEST_SECONDS = 60.0
"""Maximum of that time: others behind the same address have to wait as well if they lose their connection."""

FORGIVEN_AFTER_SECONDS = 600.0
"""Time after which an address that was shut out counts like any other."""


@dataclass(slots=True)
class Account:
    """What a server has been told on a connection.

    Attributes:
        name: Name of the client, that in its certificate; its address without TLS.
        admitted: Whether one of its streams was admitted.
        explained: Bytes that its messages explain.
    """

    name: str
    admitted: bool = False
    explained: float = 0.0

    def add(self, message_bytes: int) -> None:
        """Count a message."""
        self.explained += message_bytes * (1 + MESSAGE_SHARE) + MESSAGE_BYTES


@dataclass(slots=True)
class _Watched:
    """A connection, as it was looked at last.

    Attributes:
        seen: When that was.
        excess: Its bytes beyond its messages that are not forgotten.
        forgotten: Those that are.
        cut: Whether it was ended for that.
    """

    seen: float
    excess: float = 0.0
    forgotten: float = 0.0
    cut: bool = False

    def look(self, now: float, beyond: float) -> None:
        """Take note of ``beyond`` bytes in all that no message explains.

        No more is forgotten than there is, so that silence does not earn a right to a flood.
        """
        rate = EXTRA_BYTES_A_SECOND * (now - self.seen)
        self.forgotten += min(rate, max(0.0, beyond - self.forgotten))
        self.seen = now
        self.excess = beyond - self.forgotten


@dataclass(slots=True)
class _Network:
    """A network that caused trouble: its connections without a message, and when it is shut out."""

    seen: float
    fruitless: float = 0.0
    shut_out_until: float = 0.0
    next_seconds: float = SHUT_OUT_SECONDS

    def forget(self, now: float) -> None:
        """Forget some of its connections without a message."""
        self.fruitless = max(0.0, self.fruitless - FRUITLESS_A_SECOND * (now - self.seen))
        self.seen = now


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done.

    Attributes:
        flooding: Connections to end, with their excess in bytes.
        fruitless: Networks to shut out, because of their connections that ended without a message.
        late: Connections of networks that are shut out, which were on their way then.
    """

    flooding: Mapping[Peer, int]
    fruitless: frozenset[str]
    late: frozenset[Peer]


class ConnectionLimits:
    """Remembers connections and networks between reviews."""

    def __init__(self) -> None:
        self._watched: dict[Peer, _Watched] = {}
        self._networks: dict[str, _Network] = {}

    def review(self, now: float, received: Mapping[Peer, int], accounts: Mapping[Peer, Account]) -> Verdict:
        """Judge all connections.

        Args:
            now: Time in seconds.
            received: Bytes that came on each connection that is open.
            accounts: What the server was told on connections, those included that ended meanwhile.
        """
        flooding, late = {}, set()
        for peer, total in received.items():
            account, watched = accounts.get(peer), self._watched.setdefault(peer, _Watched(now))
            watched.look(now, total - (account.explained if account else 0.0))
            if watched.cut:
                continue
            if watched.excess > (CLIENT_BYTES if account and account.admitted else STRANGER_BYTES):
                flooding[peer] = round(watched.excess)
            elif account is None and self._is_shut_out(network_of(peer.host), now):
                late.add(peer)
        ended = {peer: self._watched.pop(peer) for peer in self._watched.keys() - received.keys()}
        unseen = accounts.keys() - received.keys() - ended.keys()
        silent = {
            peer: watched
            for peer, watched in (ended | {peer: _Watched(now) for peer in unseen}).items()
            if not watched.cut and (peer not in accounts or not accounts[peer].explained)
        }
        return Verdict(flooding, self._count_fruitless(now, silent, accounts), frozenset(late))

    def record_cut(self, peers: Iterable[Peer]) -> None:
        """Record that connections of the last review were ended, which takes gRPC a moment to notice."""
        for peer in peers:
            self._watched[peer].cut = True

    def shut_out(self, network: str, now: float) -> float:
        """Accept no connection from a network for a while, and return the seconds."""
        known = self._networks.setdefault(network, _Network(now))
        seconds = known.next_seconds
        known.fruitless, known.shut_out_until = 0.0, now + seconds
        known.next_seconds = min(2 * seconds, SHUT_OUT_LONGEST_SECONDS)
        return seconds

    def networks(self, now: float) -> frozenset[str]:
        """Return the networks that are shut out now, and forget those that are forgiven."""
        for name, known in list(self._networks.items()):
            last = max(known.seen, known.shut_out_until)
            if now - last > (FORGIVEN_AFTER_SECONDS if known.shut_out_until else FRUITLESS_CONNECTIONS):
                del self._networks[name]
        return frozenset(name for name in self._networks if self._is_shut_out(name, now))

    def _count_fruitless(
        self, now: float, ended: Mapping[Peer, _Watched], accounts: Mapping[Peer, Account]
    ) -> frozenset[str]:
        if not ended:
            return frozenset()
        names = {network_of(peer.host) for peer in ended}
        for name in names:
            self._networks.setdefault(name, _Network(now)).forget(now)
        for peer, watched in ended.items():
            self._networks[network_of(peer.host)].fruitless += 1 + max(0.0, watched.excess) / FRUITLESS_BYTES
        talking = (peer for peer, account in accounts.items() if account.explained)
        fruitful = Counter(network_of(peer.host) for peer in talking)
        return frozenset(
            name
            for name in names
            if self._networks[name].fruitless > FRUITLESS_CONNECTIONS + fruitful[name]
            and not self._is_shut_out(name, now)
        )

    def _is_shut_out(self, network: str, now: float) -> bool:
        known = self._networks.get(network)
        return known is not None and now < known.shut_out_until
