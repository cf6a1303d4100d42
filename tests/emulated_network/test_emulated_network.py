import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulated_network.network import CUT, SERVER_ADDRESS, Network, missing
from emulated_network.relay import Conditions, Direction, Setting

PACKETS = st.lists(st.tuples(st.floats(0, 0.01), st.integers(40, 1500)), min_size=1, max_size=200)
SLOW = Conditions(bits_per_second=1e6, delay=0.05)


def rng(seed):
    return np.random.default_rng(seed)


def sent(direction, packets):
    """Send packets with pauses before each; return (sent at, size, arrival) of those that are not lost."""
    now, delivered = 0.0, []
    for pause, size in packets:
        now += pause
        if (arrival := direction.arrival(size, now)) is not None:
            delivered.append((now, size, arrival))
    return delivered


@given(PACKETS)
def test_packets_arrive_in_order_and_not_before_the_delay(packets):
    delivered = sent(Direction(rng(0), SLOW), packets)
    assert all(
        arrival >= now + SLOW.delay + 8 * size / SLOW.bits_per_second - 1e-9
        for now, size, arrival in delivered
    )
    assert all(one[2] < other[2] for one, other in pairwise(delivered))


@given(PACKETS)
def test_no_more_than_the_bandwidth_arrives(packets):
    delivered = sent(Direction(rng(0), SLOW), packets)
    first, last = delivered[0], delivered[-1]
    size = sum(size for _, size, _ in delivered[1:])
    assert 8 * size <= SLOW.bits_per_second * (last[2] - first[2]) + 1e-6


def test_a_link_that_is_not_busy_delays_a_packet_by_no_more():
    direction = Direction(rng(0), SLOW)
    assert [direction.arrival(1250, now) for now in (1.0, 2.0)] == pytest.approx([1.06, 2.06])


def test_packets_that_find_the_queue_full_are_lost():
    delivered = sent(Direction(rng(0), SLOW), [(0.0, 1500)] * 2000)
    assert len(delivered) in {1000, 1001}  # 1,000 wait, and one is being sent


def test_the_given_share_is_lost():
    delivered = sent(Direction(rng(0), Conditions(loss=0.1)), [(0.001, 100)] * 10_000)
    assert len(delivered) == pytest.approx(9_000, abs=150)


def test_equal_seeds_lose_the_same_packets():
    one, other = (sent(Direction(rng(7), Conditions(loss=0.3)), [(0.001, 100)] * 100) for _ in range(2))
    assert one == other


def test_nothing_passes_a_cut_link():
    assert sent(Direction(rng(0), CUT), [(0.001, 100)] * 100) == []


@given(st.integers(0, 100), st.floats(1, 1e12), st.floats(0, 10), st.floats(0, 1))
def test_a_setting_is_what_its_line_says(link, bandwidth, delay, loss):
    setting = Setting(link, Conditions(bandwidth, delay, loss))
    assert Setting.of_line(setting.line()) == setting


ECHO = f"""
import socket
with socket.create_server(("{SERVER_ADDRESS}", 5000)) as listener:
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)
"""
ASK = f"""
import socket, sys, time
with socket.create_connection(("{SERVER_ADDRESS}", 5000), timeout=float(sys.argv[1])) as connection:
    began = time.monotonic()
    connection.sendall(b"x")
    connection.recv(1)
    print(time.monotonic() - began)
"""


@pytest.fixture
def network():
    made = Network(f"pslgs-{os.getpid()}", ["near", "far"])
    yield made
    made.close()


@pytest.fixture
def round_trip(network):
    """Return the seconds in which a byte comes back to a client; None if it does not come in time."""
    echo = subprocess.Popen(network.inside("server", [sys.executable, "-c", ECHO]), stdout=subprocess.PIPE)
    echo.stdout.readline()

    def ask(client, seconds=60):
        command = network.inside(client, [sys.executable, "-c", ASK, str(seconds)])
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        return float(asked.stdout) if asked.returncode == 0 else None

    yield ask
    echo.kill()
    echo.communicate()


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=f"needs {missing()} for network namespaces")
def test_each_client_has_a_link_of_its_own(network, round_trip):
    with network.under(Conditions(delay=0.2), "far"):
        assert round_trip("far") >= 0.4
        with network.under(CUT, "near"):
            assert round_trip("near", seconds=1) is None
            assert round_trip("far") >= 0.4
    assert round_trip("near") is not None
