"""Which connections are ended, and which addresses are shut out, for whatever comes on them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.transport.connection_limits import (
    CLIENT_BYTES,
    EXTRA_BYTES_A_SECOND,
    FORGIVEN_AFTER_SECONDS,
    FRUITLESS_BYTES,
    FRUITLESS_CONNECTIONS,
    MESSAGE_BYTES,
    SHUT_OUT_LONGEST_SECONDS,
    SHUT_OUT_SECONDS,
    STRANGER_BYTES,
    Account,
    ConnectionLimits,
    Verdict,
)
from pslgs.transport.settings import MESSAGE_LIMIT
from pslgs.transport.tcp_port import Peer

ONE = Peer("10.0.0.1", 1)
NOTHING = Verdict({}, frozenset(), frozenset())


def ended_connections(limits: ConnectionLimits, count: int, now: float, host: str = "10.0.0.1") -> Verdict:
    """Let connections of an address begin and end without a message."""
    limits.review(now, dict.fromkeys((Peer(host, port) for port in range(count)), 0), {})
    return limits.review(now, {}, {})


messages = st.lists(
    st.tuples(
        st.integers(0, MESSAGE_LIMIT),
        st.floats(0, 1),  # of what the message costs at most beside its bytes
        st.booleans(),  # whether the server looks while the message is on its way
        st.floats(0, 1000),  # seconds until the next
    ),
    max_size=60,
)


@given(said=messages)
def test_who_sends_messages_only_is_left_alone(said):
    limits, account, total, now = ConnectionLimits(), Account("client"), 3000, 0.0
    accounts = {ONE: account}
    assert limits.review(now, {ONE: total}, {}) == NOTHING
    for size, overhead, looks, seconds in said:
        total += round(size * (1 + 0.02 * overhead) + MESSAGE_BYTES * overhead)
        if looks:
            assert limits.review(now, {ONE: total}, accounts) == NOTHING
        account.add(size)
        account.admitted = True
        now += seconds
        assert limits.review(now, {ONE: total}, accounts) == NOTHING


@given(
    admitted=st.booleans(),
    quiet=st.lists(st.floats(0, 1e6), max_size=5),
    pieces=st.lists(st.integers(1, 30 << 20), min_size=1, max_size=20),
    seconds=st.floats(0, 2),
)
def test_a_flood_is_ended_once_however_long_the_connection_was_quiet(admitted, quiet, pieces, seconds):
    limits, account, now = ConnectionLimits(), Account("client", admitted), 0.0
    limit = CLIENT_BYTES if admitted else STRANGER_BYTES
    for pause in quiet:
        now += pause
        assert limits.review(now, {ONE: 3000}, {ONE: account}) == NOTHING
    total, excess, ended = 3000, 0.0, False
    for piece in pieces:
        now += seconds
        total += piece
        excess += piece - EXTRA_BYTES_A_SECOND * seconds
        verdict = limits.review(now, {ONE: total}, {ONE: account})
        if ended:
            assert verdict == NOTHING
        elif excess > limit:
            assert verdict.flooding[ONE] >= excess - 1
            assert limits.review(now, {ONE: total}, {ONE: account}) == verdict  # it was not ended
            limits.record_cut([ONE])
            ended = True


def test_what_is_read_later_than_it_came_is_no_flood():
    limits, account = ConnectionLimits(), Account("client", admitted=True)
    for second in range(100):
        account.add(50 << 20)
        # The bytes were looked at before this message was read, or while the next is on its way.
        total = (50 << 20) * (second + (0 if second % 2 else 2))
        assert limits.review(float(second), {ONE: total}, {ONE: account}) == NOTHING


def test_an_address_is_shut_out_whose_connections_come_to_nothing():
    limits = ConnectionLimits()
    assert ended_connections(limits, FRUITLESS_CONNECTIONS, 0.0) == NOTHING
    assert ended_connections(limits, FRUITLESS_CONNECTIONS, 0.0, "10.0.0.2") == NOTHING
    assert ended_connections(limits, 1, 0.0) == Verdict({}, frozenset({"10.0.0.1"}), frozenset())

    assert limits.shut_out("10.0.0.1", 0.0) == SHUT_OUT_SECONDS
    assert limits.networks(SHUT_OUT_SECONDS - 1) == {"10.0.0.1"}
    assert ended_connections(limits, 100, 1.0) == NOTHING  # it is shut out already
    assert limits.networks(SHUT_OUT_SECONDS) == frozenset()


def test_bytes_of_a_connection_without_a_message_count_like_further_connections():
    limits, half = ConnectionLimits(), FRUITLESS_BYTES * FRUITLESS_CONNECTIONS // 2
    assert half < STRANGER_BYTES
    for fruitless in (frozenset(), {"10.0.0.1"}):
        limits.review(0.0, {ONE: half}, {})
        assert limits.review(0.0, {}, {}).fruitless == fruitless


def test_single_connections_without_a_message_are_forgotten():
    limits = ConnectionLimits()
    for second in range(1000):
        assert ended_connections(limits, 1, float(second)) == NOTHING
        assert limits.networks(float(second)) == frozenset()


def test_an_address_with_many_clients_may_have_more_connections_without_a_message():
    limits = ConnectionLimits()
    clients = {Peer("10.0.0.1", 60_000 + number): Account("client", explained=9.0) for number in range(50)}
    connected = dict.fromkeys(clients, 9)
    silent = dict.fromkeys((Peer("10.0.0.1", port) for port in range(50)), 0)
    limits.review(0.0, connected | silent, clients)
    assert limits.review(0.0, connected, clients) == NOTHING
    limits.review(0.0, connected | silent, clients)
    assert limits.review(0.0, connected, clients).fruitless == {"10.0.0.1"}


@pytest.mark.parametrize(
    ("account", "fruitless"),
    [
        pytest.param(None, True, id="no stream"),
        pytest.param(Account("client"), True, id="a stream without a message"),
        pytest.param(Account("client", explained=1.0), False, id="a stream with a message"),
    ],
)
def test_connections_count_that_were_too_short_to_be_seen_if_they_had_a_stream(account, fruitless):
    limits = ConnectionLimits()
    peers = [Peer("10.0.0.1", port) for port in range(FRUITLESS_CONNECTIONS + 1)]
    accounts = {} if account is None else dict.fromkeys(peers, account)
    if account is None:
        limits.review(0.0, dict.fromkeys(peers, 0), accounts)
    assert bool(limits.review(0.0, {}, accounts).fruitless) == fruitless


def test_connections_that_were_on_their_way_when_their_address_was_shut_out_are_ended():
    limits = ConnectionLimits()
    limits.shut_out("10.0.0.1", 0.0)
    before, late, other = Peer("10.0.0.1", 2), Peer("10.0.0.1", 3), Peer("10.0.0.2", 3)
    received = {before: 9, late: 0, other: 0}
    accounts = {before: Account("client", explained=9.0)}
    assert limits.review(0.1, received, accounts) == Verdict({}, frozenset(), frozenset({late}))
    limits.record_cut([late])
    assert limits.review(0.2, received, accounts) == NOTHING  # it is being ended


def test_an_address_is_shut_out_longer_each_time_until_it_is_forgiven():
    limits, now, seconds = ConnectionLimits(), 0.0, []
    for _ in range(5):
        seconds.append(limits.shut_out("10.0.0.1", now))
        now += seconds[-1] + 1
        limits.networks(now)
    longest = SHUT_OUT_LONGEST_SECONDS
    assert seconds == [SHUT_OUT_SECONDS, 2 * SHUT_OUT_SECONDS, 4 * SHUT_OUT_SECONDS, longest, longest]

    limits.networks(now + FORGIVEN_AFTER_SECONDS)
    assert limits.shut_out("10.0.0.1", now) == SHUT_OUT_SECONDS


def test_addresses_of_one_network_of_ipv6_are_one():
    limits = ConnectionLimits()
    hosts = [f"2001:db8::{number:x}" for number in range(1, 12)]
    limits.review(0.0, {Peer(host, 1): 0 for host in hosts}, {})
    assert limits.review(0.0, {}, {}).fruitless == {"2001:db8::"}


def test_nothing_is_remembered_of_connections_and_addresses_that_are_gone():
    limits = ConnectionLimits()
    for number in range(1000):
        ended_connections(limits, 3, float(number), f"10.0.{number >> 8}.{number & 255}")
        limits.networks(float(number))
    remembered = [len(part) for part in vars(limits).values()]
    assert max(remembered) < 20
