"""What Linux tells of connections, and how it ends and refuses them, with real sockets."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pslgs.transport import acceptance
from pslgs.transport.connection_guard import REVIEW_SECONDS
from pslgs.transport.grpc_server import GrpcServer
from pslgs.transport.tcp_port import SHUT_OUT_LIMIT, Peer, TcpPort, network_of, peer_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs what Linux tells of sockets")

LIMIT = 10.0
SOON = 0.3
"""Seconds within which a connection over loopback would be accepted."""


@pytest.fixture(params=["ipv4", "both families"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Listen as gRPC does: on all addresses, with one socket."""
    both = request.param == "both families"
    family, host = (socket.AF_INET6, "::") if both else (socket.AF_INET, "0.0.0.0")  # noqa: S104
    with socket.create_server((host, 0), family=family, dualstack_ipv6=both) as listener:
        listener.settimeout(LIMIT)
        yield listener


@contextmanager
def connected(
    listener: socket.socket, source: str = "127.0.0.1"
) -> Iterator[tuple[socket.socket, socket.socket, Peer]]:
    """Connect from an address, and provide both ends and the peer."""
    host = "::1" if ":" in source else "127.0.0.1"
    address = host, listener.getsockname()[1]
    with socket.create_connection(address, LIMIT, (source, 0)) as client:
        server, _ = listener.accept()
        with server:
            server.settimeout(LIMIT)
            yield client, server, Peer(*client.getsockname()[:2])


def port_of(listener: socket.socket) -> TcpPort:
    return TcpPort(listener.getsockname()[1])


def is_shut_out(listener: socket.socket, source: str) -> bool:
    host = "::1" if ":" in source else "127.0.0.1"
    try:
        socket.create_connection((host, listener.getsockname()[1]), SOON, (source, 0)).close()
    except TimeoutError:
        return True
    listener.accept()[0].close()
    return False


def test_bytes_are_counted_whether_they_were_read_or_not(listener):
    port = port_of(listener)
    with connected(listener) as (one, server, peer), connected(listener, "127.0.0.2") as (_, _, other):
        assert port.look().received == {peer: 0, other: 0}

        one.sendall(bytes(5000))
        server.recv(5000, socket.MSG_WAITALL)
        one.sendall(bytes(1000))
        server.recv(1, socket.MSG_PEEK)

        assert port.look().received == {peer: 6000, other: 0}
        assert TcpPort(1).look().received == {}
    assert port.look().received == {}


def test_a_port_is_listened_at_until_its_socket_is_closed(listener):
    port = port_of(listener)
    with connected(listener) as (_, _, peer):
        assert port.look() == ({peer: 0}, 0)
        listener.close()
        assert port.look() == ({peer: 0}, None)


def test_connections_that_wait_to_be_accepted_are_counted(listener):
    port = port_of(listener)
    with ExitStack() as stack:
        for count in (1, 2):
            stack.enter_context(socket.create_connection(("127.0.0.1", listener.getsockname()[1]), LIMIT))
            assert port.look() == ({}, count)
        server, (_, number, *_) = listener.accept()
        with server:
            assert port.look() == ({Peer("127.0.0.1", number): 0}, 1)


def test_looking_at_connections_leaves_them_as_they_are(listener):
    with connected(listener) as (one, server, _):
        server.settimeout(None)
        for _ in range(3):
            port_of(listener).look()
        assert server.getblocking()
        one.sendall(b"still open")
        assert server.recv(10, socket.MSG_WAITALL) == b"still open"


def test_only_the_given_connections_are_cut(listener):
    port = port_of(listener)
    with connected(listener) as (one, server, peer), connected(listener) as (two, second, _):
        gone = Peer("127.0.0.1", 1)
        assert port.cut({peer, gone}) == {peer}
        assert one.recv(1) == server.recv(1) == b""
        two.sendall(b"x")
        assert second.recv(1) == b"x"


def test_no_new_connections_are_accepted_from_addresses_that_are_shut_out(listener):
    port = port_of(listener)
    with connected(listener, "127.0.0.3") as (one, server, _):
        port.shut_out(["127.0.0.3", "10.1.2.3", "2001:db8::"])
        assert is_shut_out(listener, "127.0.0.3")
        assert not is_shut_out(listener, "127.0.0.4")
        one.sendall(b"x")  # this connection was there before
        assert server.recv(1) == b"x"

        port.shut_out(["127.0.0.4"])
        assert not is_shut_out(listener, "127.0.0.3")
        assert is_shut_out(listener, "127.0.0.4")

        port.shut_out([])
        assert not is_shut_out(listener, "127.0.0.4")
        port.shut_out([])


def test_as_many_addresses_of_both_families_are_shut_out_as_a_filter_takes(listener):
    def networks(number: int) -> str:
        return f"2001:db8:{number:x}::" if number % 2 else f"10.0.{number >> 8}.{number & 255}"

    shut_out = [networks(number) for number in range(SHUT_OUT_LIMIT - 1)]
    port_of(listener).shut_out(["127.0.0.3", *shut_out])  # sorted, "127" is in the middle
    assert is_shut_out(listener, "127.0.0.3")
    assert not is_shut_out(listener, "127.0.0.1")


def test_a_network_of_ipv6_is_shut_out():
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        listener.settimeout(LIMIT)
        with connected(listener, "::1") as (_, _, peer):
            assert port_of(listener).look().received == {peer: 0}
        port_of(listener).shut_out(["2001:db8::", "127.0.0.3"])
        assert not is_shut_out(listener, "::1")
        port_of(listener).shut_out(["2001:db8::", network_of("::1")])
        assert is_shut_out(listener, "::1")
        assert not is_shut_out(listener, "127.0.0.3")


def test_what_is_not_of_the_port_is_left_out(tmp_path, listener):
    with ExitStack() as stack:
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(tmp_path / "socket"))
        stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        stack.enter_context((tmp_path / "file").open("w"))
        with connected(listener) as (_, _, peer):
            assert port_of(listener).look().received == {peer: 0}


async def test_a_server_ends_whose_listening_socket_grpc_has_closed(monkeypatch):
    monkeypatch.setattr(acceptance, "PATIENCE_SECONDS", 3 * REVIEW_SECONDS)

    async def nobody(*_: object) -> None:
        raise AssertionError("nobody connects")

    server = GrpcServer("127.0.0.1:0", None, nobody)
    port = await server.start()
    watching = asyncio.create_task(server.watch_connections())
    for listener, _ in TcpPort(port)._sockets():
        listener.shutdown(socket.SHUT_RDWR)  # accept fails, upon which gRPC closes it
    with pytest.raises(OSError, match="ceased to accept"):
        await asyncio.wait_for(watching, LIMIT)
    await server.stop(0)


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("ipv4:10.0.0.7:4711", Peer("10.0.0.7", 4711)),
        ("ipv6:%5B::1%5D:4711", Peer("::1", 4711)),
        ("ipv6:%5Bfe80::1%25eth0%5D:4711", Peer("fe80::1", 4711)),
        ("ipv6:%5B::ffff:10.0.0.7%5D:4711", Peer("10.0.0.7", 4711)),
        ("unix:/run/server", None),
        ("", None),
    ],
)
def test_the_names_of_grpc_are_peers(name, peer):
    assert peer_of(name) == peer


def test_a_party_has_an_address_of_ipv4_or_64_bits_of_ipv6():
    assert network_of("10.0.0.7") == "10.0.0.7"
    assert network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::"
    assert network_of("2001:db8:1:2::9") == "2001:db8:1:2::"
    assert str(Peer("::1", 5)) == "[::1]:5"
    assert str(Peer("10.0.0.7", 5)) == "10.0.0.7:5"
