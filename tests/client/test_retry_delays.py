"""Delays between the connections of a client; the server may ask for longer ones."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from pslgs.client import main, reconnecting
from pslgs.client.health import ClientHealth
from pslgs.client.main import ClientOptions
from pslgs.process.termination_message import ExitStatus
from pslgs.spec.exit_codes import ExitCode
from pslgs.transport.client_connection import BACK_OFF_LIMIT_SECONDS
from pslgs.transport.errors import StreamEnded, TryLater
from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import control_frame
from pslgs.transport.v1.training_pb2 import Finish, Header, Hello
from transport.loopback import serving

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def waits(monkeypatch):
    """Seconds that the client would have slept between connections."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(reconnecting, "asyncio", SimpleNamespace(sleep=sleep))
    return waited


async def run_client(address: str) -> ExitStatus:
    options = ClientOptions("client-0", address, None, Path("cache"), cores=1)
    health = ClientHealth("client-0", lambda: 0.0)
    model = SimpleNamespace(features=0)
    return await main._serve(None, model, Hello(client_id="client-0"), None, options, health)


async def exit_status_after(errors: list) -> ExitStatus:
    """Run a client on a server that ends each stream with the next of ``errors``; None ends the job."""

    async def serve(session: Session) -> None:
        error = errors.pop(0)
        if error is not None:
            raise error
        await session.send([control_frame(Header(finish=Finish(exit_code=0, reason="done\nand dusted")))])

    async with serving(serve) as served:
        return await run_client(served.address)


async def test_a_client_waits_as_long_as_the_server_asks(waits):
    later = TryLater("It may join again in 7.2 s.", 7.25)
    exit_status = await exit_status_after([later, later, None])
    assert exit_status == (ExitCode.FINISHED, "done and dusted")
    assert waits == [7.25, 7.25]


async def test_a_client_reconnects_soon_if_the_server_asks_for_no_delay(waits):
    lost = StreamEnded(grpc.StatusCode.CANCELLED, "lost")
    await exit_status_after([lost, None])
    assert len(waits) == 1
    assert 0 < waits[0] < BACK_OFF_LIMIT_SECONDS / 10


async def test_an_unknown_exit_code_of_the_job_violates_the_protocol(waits):
    async def serve(session: Session) -> None:
        await session.send([control_frame(Header(finish=Finish(exit_code=99)))])

    async with serving(serve) as served, asyncio.timeout(20):
        exit_status = await run_client(served.address)
    assert exit_status == (
        ExitCode.INTERNAL_ERROR,
        "the server broke the protocol: There is no exit code 99.",
    )
