"""The TCP connections of a port at which gRPC listens, as the operating system sees them.

gRPC tells a server of a connection only when it has opened a stream.  Linux tells of each how many bytes
came, and lets a process end its own connections and choose which addresses may open new ones, without a
privilege.
"""

import ctypes
import ipaddress
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

SHUT_OUT_LIMIT = 500
"""Maximum number of addresses from which no connections are accepted; Linux limits the size of a filter."""

_DESCRIPTORS = "/proc/self/fd"
_TCP_INFO_BYTES = 136
_RECEIVED = struct.Struct("=Q")
_RECEIVED_OFFSET = 128  # tcpi_bytes_received in struct tcp_info of linux/tcp.h
_WAITING = struct.Struct("=I")
_WAITING_OFFSET = 24  # tcpi_unacked, which is the length of the queue if the socket listens

_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # SO_ATTACH_FILTER and SO_DETACH_FILTER of asm-generic/socket.h
_IP_HEADER = 0xFFF00000  # SKF_NET_OFF of linux/filter.h
_LOAD_WORD, _LOAD_BYTE, _SHIFT_RIGHT, _JUMP, _IF_EQUAL, _RETURN = 0x20, 0x30, 0x74, 0x05, 0x15, 0x06
_DROP, _ACCEPT = 0, 0xFFFFFFFF


class Peer(NamedTuple):
    """The other end of a connection; an IPv4 address is written as such, also on a socket of IPv6."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Look(NamedTuple):
    """What there is at a port.

    Attributes:
        received: Bytes that came on each connection, those of TLS and HTTP/2 included.
        waiting: Connections that wait to be accepted; None if no socket listens.
    """

    received: dict[Peer, int]
    waiting: int | None


def peer_of(grpc_name: str) -> Peer | None:
    """Return the peer that gRPC names, such as ``ipv6:%5B::1%5D:4711``; None if it is none of TCP."""
    family, _, rest = grpc_name.partition(":")
    if family not in {"ipv4", "ipv6"}:
        return None
    host, _, port = unquote(rest).rpartition(":")
    return Peer(_plain(host.strip("[]")), int(port))


@lru_cache(maxsize=4096)
def network_of(host: str) -> str:
    """Return what one party has: an IPv4 address, or the first 64 bits of an address of IPv6."""
    address = ipaddress.ip_address(host)
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False).network_address)


class TcpPort:
    """The connections that this process has accepted at a port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def look(self) -> Look:
        """Look at all sockets of the port.

        Raises:
            OSError: the system cannot tell of them now.
        """
        received: dict[Peer, int] = {}
        waiting: int | None = None
        for found, peer in self._sockets():
            with suppress(OSError):  # gRPC has closed it meanwhile
                info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
                if peer is not None:
                    (received[peer],) = _RECEIVED.unpack_from(info, _RECEIVED_OFFSET)
                elif _listens(found):
                    (queue,) = _WAITING.unpack_from(info, _WAITING_OFFSET)
                    waiting = (waiting or 0) + queue
        return Look(received, waiting)

    def cut(self, peers: Collection[Peer]) -> set[Peer]:
        """End connections at once, and return those that there were."""
        found = set()
        for connection, peer in self._sockets():
            with suppress(OSError):  # as above
                if peer is not None and peer in peers:
                    connection.shutdown(socket.SHUT_RDWR)
                    found.add(peer)
        return found

    def shut_out(self, networks: Iterable[str]) -> None:
        """Accept no new connections from these networks (`network_of`), and from all others.

        Connections that exist are not affected.

        Raises:
            OSError: the system does not permit a filter.
        """
        program = _dropping(sorted(networks)[:SHUT_OUT_LIMIT])
        for listener, peer in self._sockets():
            if peer is None and _listens(listener):
                _attach(listener, program)

    def _sockets(self) -> Iterator[tuple[socket.socket, Peer | None]]:
        """Yield each socket of the port, with its peer; those that are closed meanwhile are left out."""
        for name in os.listdir(_DESCRIPTORS):
            with suppress(OSError):  # it is no socket
                # With all of these given, Python asks the system for none of them.
                found = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, int(name))
                try:
                    own = found.getsockname()
                    if isinstance(own, tuple) and own[1] == self._port:
                        yield found, _peer(found)
                finally:
                    found.detach()  # the descriptor is gRPC's


def _listens(found: socket.socket) -> bool:
    return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _peer(connection: socket.socket) -> Peer | None:
    try:
        host, port = connection.getpeername()[:2]
    except OSError:
        return None
    return Peer(_plain(host), port)


def _plain(host: str) -> str:
    """Return a host without its zone, and an IPv4 address that is mapped to IPv6 as such."""
    host = host.partition("%")[0]
    return host.removeprefix("::ffff:") if "." in host else host


def _attach(listener: socket.socket, program: bytes) -> None:
    if not program:
        with suppress(FileNotFoundError):  # it has none
            listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
        return
    instructions = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, described)


def _dropping(networks: Collection[str]) -> bytes:
    """Return the BPF program of a socket that drops the packets of networks; empty if there are none."""
    addresses = [ipaddress.ip_address(each) for each in networks]
    of_ipv4 = [int(each) for each in addresses if each.version == 4]
    of_ipv6 = [int(each) >> 64 for each in addresses if each.version == 6]
    if not addresses:
        return b""
    return b"".join(
        (
            _instruction(_LOAD_BYTE, _IP_HEADER),
            _instruction(_SHIFT_RIGHT, 4),
            _instruction(_IF_EQUAL, 6, then=1),
            _instruction(_JUMP, 5 * len(of_ipv6) + 1),
            *map(_drop_ipv6, of_ipv6),
            _instruction(_RETURN, _ACCEPT),
            _instruction(_LOAD_WORD, _IP_HEADER + 12),
            *map(_drop_ipv4, of_ipv4),
            _instruction(_RETURN, _ACCEPT),
        )
    )


def _drop_ipv4(address: int) -> bytes:
    return _instruction(_IF_EQUAL, address, otherwise=1) + _instruction(_RETURN, _DROP)


def _drop_ipv6(prefix: int) -> bytes:
    return b"".join(
        (
            _instruction(_LOAD_WORD, _IP_HEADER + 8),
            _instruction(_IF_EQUAL, prefix >> 32, otherwise=3),
            _instruction(_LOAD_WORD, _IP_HEADER + 12),
            _instruction(_IF_EQUAL, prefix & 0xFFFFFFFF, otherwise=1),
            _instruction(_RETURN, _DROP),
        )
    )


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Encode an instruction; a comparison skips ``then`` or ``otherwise`` instructions, as it turns out."""
    return struct.pack("=HBBI", code, then, otherwise, value)
