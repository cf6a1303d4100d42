"""The loss of a peer is detected, whether it was killed or its machine stopped."""

import asyncio
import errno
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from pslgs.transport.client_connection import BACK_OFF_LIMIT_SECONDS, BACK_OFF_SECONDS, back_off
from pslgs.transport.errors import Refused, StreamEnded, Unreachable
from pslgs.transport.grpc_server import GrpcServer
from pslgs.transport.messages import control_frame
from pslgs.transport.settings import Keepalive
from pslgs.transport.v1.training_pb2 import Abort, Header
from transport.loopback import DEADLINE, connecting, echo, receive_all, serving

pytestmark = pytest.mark.timeout(90)

PEER = """
import asyncio, sys
from transport.loopback import connecting, echo, serving
from pslgs.transport.settings import Keepalive

async def client():
    async with connecting(sys.argv[2], keepalive=Keepalive(0.5, 0.5)) as connection:
        await connection.receive()

async def server():
    async with serving(echo, address=sys.argv[2]) as served:
        print(served.port, flush=True)
        await asyncio.Event().wait()

asyncio.run({"client": client, "server": server}[sys.argv[1]]())
"""


@asynccontextmanager
async def peer(role: str, address: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a client or a server in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PEER, role, address, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def port_of(server: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(DEADLINE):
        return int(await server.stdout.readline())


@pytest.mark.slow
async def test_a_killed_client_wakes_the_task_that_receives_from_it():
    async with serving(receive_all) as served, peer("client", served.address) as client:
        session = await served.session()
        client.kill()
        reason = await served.end_of(session)
    assert reason.status is grpc.StatusCode.CANCELLED
    assert "connection was lost" in reason.details


@pytest.mark.slow
async def test_a_client_whose_machine_stops_is_detected_by_keepalive():
    async with (
        serving(receive_all, keepalive=Keepalive(0.5, 0.5)) as served,
        peer("client", served.address) as client,
    ):
        session = await served.session()
        client.send_signal(signal.SIGSTOP)
        assert (await served.end_of(session)).status is grpc.StatusCode.CANCELLED


@pytest.mark.slow
async def test_a_killed_server_wakes_the_client_which_can_try_again():
    async with (
        peer("server", "127.0.0.1:0") as server,
        connecting(f"127.0.0.1:{await port_of(server)}") as connection,
    ):
        server.kill()
        with pytest.raises(StreamEnded) as raised:
            await connection.receive()
        assert raised.value.status is grpc.StatusCode.UNAVAILABLE
        assert not isinstance(raised.value, Refused)


@pytest.mark.slow
async def test_an_idle_stream_with_keepalive_stays_open():
    keepalive = Keepalive(0.1, 5.0)  # within 2 s many pings, and the server must not think them too many
    async with (
        serving(keepalive=keepalive) as served,
        connecting(served.address, keepalive=keepalive) as connection,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await connection.receive()
        await connection.send([control_frame(Header(abort=Abort(step=1)))])
        assert (await connection.receive()).header.abort.step == 1


@pytest.mark.slow
async def test_a_client_waits_for_a_server_that_starts_later_and_again_after_a_restart(caplog):
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    for _ in range(2):
        entering = asyncio.create_task(exchange(address))
        await asyncio.sleep(0.3)  # so that the first attempts fail; no outcome depends on it
        assert not entering.done()
        async with serving(echo, address=address):
            assert await entering == 7
    assert f"not yet connected to {address}: " in caplog.text


async def exchange(address: str) -> int:
    async with connecting(address) as connection:
        await connection.send([control_frame(Header(abort=Abort(step=7)))])
        return (await connection.receive()).header.abort.step


async def test_a_client_gives_up_after_its_time_out():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unreachable, match=f"No server answered at {address} within 0.5 s; .*[Cc]onnect"):
        async with connecting(address, timeout_seconds=0.5):
            pass


async def test_a_client_gives_up_a_server_that_accepts_but_never_answers():
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(Unreachable, match="there was no answer"),
    ):
        async with connecting(f"127.0.0.1:{mute.getsockname()[1]}", timeout_seconds=0.5):
            pass


def test_waits_between_attempts_grow_up_to_a_limit_and_are_random():
    waits = [wait for wait, _ in zip(back_off(random.Random(1)), range(12), strict=False)]  # noqa: S311 - no secret
    bounds = [min(BACK_OFF_SECONDS * 2**n, BACK_OFF_LIMIT_SECONDS) for n in range(12)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) == 12


async def never(*_: object) -> None:
    raise AssertionError


async def test_a_port_in_use_is_reported():
    async with serving() as served:
        with pytest.raises(OSError, match=served.address) as raised:
            await GrpcServer(served.address, None, never).start()
        assert raised.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("192.0.2.1:0", id="address of another machine"),
        pytest.param("no-such-host.invalid:0", id="unknown host"),
        pytest.param("127.0.0.1:http-no", id="no port"),
    ],
)
async def test_an_address_of_another_machine_is_reported(address):
    with pytest.raises(OSError, match=address):
        await GrpcServer(address, None, never).start()
