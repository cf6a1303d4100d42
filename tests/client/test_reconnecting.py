"""A client reconnects after lost connections and interrupted servers until the job ends."""

import asyncio
from contextlib import asynccontextmanager
from itertools import repeat

import grpc
import pytest

from client.fakes import FakeConnection, fake_client, finish, forward, kinds
from pslgs.client.health import ClientHealth
from pslgs.client.main import run_until_stopped
from pslgs.client.order_loop import execute_orders
from pslgs.client.reconnecting import run_with_reconnects
from pslgs.client.tasks import ClientContext
from pslgs.process.termination_message import ExitStatus
from pslgs.spec import ExitCode, InputError
from pslgs.transport.errors import ProtocolViolation, Unreachable, stream_ended
from server.fakes import settle

LOST = stream_ended(grpc.StatusCode.UNAVAILABLE, "The connection was lost.")
INTERRUPTED = ExitStatus(ExitCode.INTERRUPTED, "stopped by SIGTERM")
FINISHED = ExitStatus(ExitCode.FINISHED, "all epochs are done")


class Job:
    """A job that ends each connection with the next of its outcomes."""

    def __init__(self, *outcomes: ExitStatus | Exception) -> None:
        self.outcomes = list(outcomes)
        self.health = ClientHealth("a", lambda: 0.0)
        self.connected: list[bool] = []
        self.closed = 0

    @asynccontextmanager
    async def connect(self):
        if isinstance(self.outcomes[0], Unreachable):
            raise self.outcomes[0]
        try:
            yield FakeConnection()
        finally:
            self.closed += 1

    async def execute_orders(self, _connection) -> ExitStatus:
        self.connected.append(self.health.connected)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run(self, *, reconnect: bool = False) -> ExitStatus:
        return await run_with_reconnects(
            self.connect,
            self.execute_orders,
            self.health,
            repeat(0.0),
            reconnect_after_interruption=reconnect,
        )


@pytest.mark.parametrize(
    ("outcomes", "reconnect", "exit_status", "connections"),
    [
        ([FINISHED], False, FINISHED, 1),
        ([LOST, LOST, FINISHED], False, FINISHED, 3),
        ([INTERRUPTED], False, INTERRUPTED, 1),
        ([INTERRUPTED, FINISHED], True, FINISHED, 2),
    ],
    ids=["finished", "lost twice", "interrupted", "interrupted and resumed"],
)
async def test_a_client_reconnects_until_the_job_ends(outcomes, reconnect, exit_status, connections):
    job = Job(*outcomes)
    assert await job.run(reconnect=reconnect) == exit_status
    assert job.closed == connections
    assert job.connected == [True] * connections
    assert not job.health.connected


@pytest.mark.parametrize(
    ("outcome", "exit_code", "words"),
    [
        (Unreachable("No server answered."), ExitCode.SERVER_UNREACHABLE, "No server answered"),
        (stream_ended(grpc.StatusCode.PERMISSION_DENIED, "You are b."), ExitCode.REFUSED, "You are b."),
        (ProtocolViolation("A chunk came twice."), ExitCode.INTERNAL_ERROR, "A chunk came twice."),
    ],
    ids=["unreachable", "refused", "protocol"],
)
async def test_a_client_ends_after_a_permanent_failure(outcome, exit_code, words):
    exit_status = await Job(outcome).run(reconnect=True)
    assert exit_status.exit_code is exit_code
    assert words in exit_status.message


async def test_damaged_data_end_the_client():
    with pytest.raises(InputError, match="damaged"):
        await Job(InputError.at("spec.data.train", "is damaged")).run()


async def test_a_step_that_a_lost_connection_interrupted_is_executed_on_the_next_one():
    connections = [FakeConnection(), FakeConnection()]
    remaining = iter(connections)

    @asynccontextmanager
    async def connect():
        yield next(remaining)

    async with fake_client() as client:

        def execute(connection):
            return execute_orders(ClientContext(client.data, client.model, client.torch, connection))

        health = ClientHealth("a", lambda: 0.0)
        job = asyncio.create_task(
            run_with_reconnects(connect, execute, health, repeat(0.0), reconnect_after_interruption=False)
        )
        connections[0].feed(forward(4, following=3), *client.parameters())
        await settle()
        connections[0].leave()
        connections[1].feed(forward(4, attempt=2), *client.parameters(attempt=2))
        connections[1].feed(*client.cut_gradient(4, attempt=2))
        await settle()
        assert kinds(connections[1]) == ["labels", "smashed_data", "client_gradient"]
        connections[1].feed(finish())
        assert await job == FINISHED


async def test_a_stop_signal_cancels_the_work():
    async with fake_client() as client:
        client.loading.executor.held = True
        client.feed(forward(4))
        stop = asyncio.get_running_loop().create_future()

        async def work() -> ExitStatus:
            return await client.execution

        stopped = asyncio.create_task(run_until_stopped(work(), stop))
        await settle()
        stop.set_result("stopped by SIGTERM")
        assert await stopped == INTERRUPTED
        assert client.execution.cancelled()
        assert client.loading.executor.cancelled == 1


async def test_work_that_ends_by_itself_returns_its_own_ending():
    async def work() -> ExitStatus:
        return FINISHED

    assert await run_until_stopped(work(), asyncio.get_running_loop().create_future()) == FINISHED
