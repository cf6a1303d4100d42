"""What a server does about connections that cost more than their messages, over a port that is none."""

import asyncio
import errno
import logging
from collections.abc import Iterable

import pytest

from pslgs.transport import connection_guard
from pslgs.transport.acceptance import PATIENCE_SECONDS
from pslgs.transport.connection_guard import ConnectionGuard
from pslgs.transport.connection_limits import CLIENT_BYTES, STRANGER_BYTES
from pslgs.transport.tcp_port import Look, Peer

ONE, TWO = Peer("10.0.0.1", 1), Peer("10.0.0.2", 2)


class FakePort:
    """Connections with the bytes that came on them."""

    def __init__(self) -> None:
        self.connections: dict[Peer, int] = {}
        self.refuses = False
        self.waiting: int | None = 0
        self.shut: list[set[str]] = []
        self.looked = 0

    def look(self) -> Look:
        self.looked += 1
        return Look(dict(self.connections), self.waiting)

    def cut(self, peers: set[Peer]) -> set[Peer]:
        return {peer for peer in peers if self.connections.pop(peer, None) is not None}

    def shut_out(self, networks: Iterable[str]) -> None:
        if self.refuses:
            raise PermissionError(1, "Operation not permitted")
        self.shut.append({*networks})


class Guarded:
    """A guard, its port, its clock, and what it reported."""

    def __init__(self) -> None:
        self.now = 0.0
        self.port = FakePort()
        self.reports: list[tuple[str, Peer | None, str]] = []
        self.guard = ConnectionGuard(lambda *report: self.reports.append(report), lambda: self.now)

    async def review(self) -> None:
        await self.guard.review(self.port)


async def test_a_client_that_floods_is_cut_named_and_shut_out_for_a_while():
    guarded = Guarded()
    account = guarded.guard.account("ipv4:10.0.0.1:1", "clinic")
    guarded.guard.account("ipv4:10.0.0.1:9", "factory")
    guarded.guard.account("ipv4:10.0.0.2:2", "shop")
    account.admitted = True
    account.add(5 << 20)
    guarded.port.connections = {ONE: CLIENT_BYTES + (4 << 20), TWO: 0, Peer("10.0.0.1", 9): 0}
    await guarded.review()
    assert not guarded.reports

    guarded.port.connections[ONE] += 5 << 20
    await guarded.review()
    assert guarded.port.connections.keys() == {TWO, Peer("10.0.0.1", 9)}
    assert guarded.reports == [
        (
            "clinic",
            ONE,
            "It sent 67 MiB beyond its messages; the connection of 10.0.0.1:1 was ended, and for 10 s none "
            "is accepted from that address, from which are connected: clinic, factory.",
        )
    ]
    assert guarded.port.shut == [{"10.0.0.1"}]

    guarded.now = 9.0
    await guarded.review()
    assert len(guarded.port.shut) == 1
    guarded.now = 10.0
    await guarded.review()
    assert guarded.port.shut == [{"10.0.0.1"}, set()]


async def test_who_is_not_known_is_named_by_the_address():
    guarded = Guarded()
    guarded.port.connections = {ONE: STRANGER_BYTES + 1}
    await guarded.review()
    [(name, peer, message)] = guarded.reports
    assert (name, peer) == ("10.0.0.1", ONE)
    assert message.endswith("for 10 s none is accepted from that address.")


async def test_an_address_is_shut_out_whose_connections_come_to_nothing():
    guarded = Guarded()
    guarded.guard.account("ipv4:10.0.0.1:77", "clinic").add(1)
    clinic = {Peer("10.0.0.1", 77): 100}
    guarded.port.connections = clinic | {Peer("10.0.0.1", port): 0 for port in range(12)}
    await guarded.review()
    guarded.port.connections = dict(clinic)
    await guarded.review()
    assert guarded.reports == [
        (
            "10.0.0.1",
            None,
            "Its connections ended without a message, too many or after too many bytes; for 10 s none is "
            "accepted from that address, from which are connected: clinic.",
        )
    ]
    guarded.port.connections = clinic | {ONE: 0}  # it was in the queue of the port
    await guarded.review()
    assert guarded.port.connections == clinic
    assert len(guarded.reports) == 1


async def test_nobody_is_accused_for_a_connection_that_is_gone_already():
    guarded = Guarded()
    guarded.port.connections = {ONE: STRANGER_BYTES + 1}
    guarded.port.cut = lambda _: set()  # type: ignore[method-assign]
    await guarded.review()
    assert not guarded.reports
    assert not guarded.port.shut


async def test_accounts_are_kept_for_as_long_as_their_connections():
    guarded = Guarded()
    first = guarded.guard.account("ipv4:10.0.0.1:1", "clinic")
    guarded.port.connections = {ONE: 100}
    await guarded.review()
    assert guarded.guard.account("ipv4:10.0.0.1:1", "clinic") is first

    guarded.port.connections = {}
    await guarded.review()
    assert guarded.guard.account("ipv4:10.0.0.1:1", "clinic") is not first


async def test_accounts_that_are_opened_during_a_review_are_kept_and_no_trouble():
    guarded, opened = Guarded(), []
    look = guarded.port.look

    def open_and_look() -> Look:
        opened.extend(guarded.guard.account(f"ipv4:10.0.0.1:{port}", "clinic") for port in range(1, 50))
        return look()

    guarded.port.look = open_and_look  # type: ignore[method-assign]
    await guarded.review()
    assert guarded.guard.account("ipv4:10.0.0.1:1", "clinic") is opened[0]
    assert not guarded.reports


@pytest.mark.parametrize("method", ["look", "cut"])
async def test_a_review_fails_and_the_next_one_is_made_where_the_system_lacks_memory(method, caplog):
    guarded = Guarded()
    guarded.port.connections = {ONE: STRANGER_BYTES + 1}
    works = getattr(guarded.port, method)

    def fails(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    setattr(guarded.port, method, fails)
    await guarded.review()
    assert not guarded.reports
    assert "Cannot allocate memory" in caplog.text

    setattr(guarded.port, method, works)
    await guarded.review()
    assert [peer for _, peer, _ in guarded.reports] == [ONE]


async def test_what_cannot_be_looked_at_is_said_once(caplog):
    guarded = Guarded()
    works = guarded.port.look

    def fails() -> Look:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    caplog.set_level(logging.INFO)
    for look in (fails, fails, works, works, fails):
        guarded.port.look = look  # type: ignore[method-assign]
        await guarded.review()
    lost = "cannot look at the connections; trying again: [Errno 12] Cannot allocate memory"
    assert [record.message for record in caplog.records] == [lost, "can look at the connections again", lost]


async def test_what_is_no_connection_of_tcp_has_an_account_of_its_own():
    guard = Guarded().guard
    assert guard.account("unix:/run/server", "clinic") is not guard.account("unix:/run/server", "clinic")


async def test_connections_are_still_cut_where_the_system_permits_no_filter(caplog):
    guarded = Guarded()
    guarded.port.refuses = True
    for _ in range(3):
        guarded.port.connections = {ONE: STRANGER_BYTES + 1}
        await guarded.review()
        assert not guarded.port.connections
        guarded.port.connections = {}
        await guarded.review()
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == ["cannot refuse connections by their address: [Errno 1] Operation not permitted"]


async def test_an_address_is_accepted_again_although_that_failed_at_first():
    guarded = Guarded()
    guarded.port.connections = {ONE: STRANGER_BYTES + 1}
    await guarded.review()
    guarded.now, guarded.port.refuses = 10.0, True
    await guarded.review()
    guarded.port.refuses = False
    await guarded.review()
    assert guarded.port.shut == [{"10.0.0.1"}, set()]


async def test_a_server_that_accepts_no_more_ends():
    guarded = Guarded()
    guarded.port.waiting = None
    for _ in range(round(PATIENCE_SECONDS)):
        await guarded.review()
        guarded.now += 1.0
    with pytest.raises(OSError, match="ceased to accept"):
        await guarded.review()


async def test_reviews_follow_one_another_and_are_rarer_if_they_cost_more(monkeypatch):
    guarded, pauses = Guarded(), []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    costs = iter([0.0, 0.0, 0.0, 0.005, 0.0, 0.5])
    monkeypatch.setattr(connection_guard, "thread_time", lambda: next(costs))
    monkeypatch.setattr(connection_guard.asyncio, "sleep", pause)
    with pytest.raises(asyncio.CancelledError):
        await guarded.guard.watch(guarded.port)
    assert pauses == [0.1, 0.5, 2.0]
    assert guarded.port.looked == 3
