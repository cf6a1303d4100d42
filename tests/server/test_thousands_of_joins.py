"""Thousands of clients: what one of them costs the event loop does not grow with their number."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.operation import Phase
from pslgs.coordination.settings import settings_from
from pslgs.server.driver import CoordinatorDriver
from pslgs.server.evaluation_runner import EvaluationRunner
from pslgs.server.session_handler import SessionHandler
from pslgs.transport.v1 import training_pb2 as wire
from server.fakes import CLASSES, INPUTS, FakeServer, FakeSession, fake_server, settle, tiny_spec

CLIENTS = 5_000
SAMPLES = 3 * CLASSES
A_TURN = 10
"""Clients that arrive in one turn of the event loop."""
MARGIN = 2
"""By how much a busy machine may slow down this process although only its own CPU seconds count."""


@dataclass
class Joining:
    """A server to which clients come.

    Attributes:
        turn_seconds: CPU seconds of the event loop's thread in its longest turn; those of other processes on
            the machine do not count.
    """

    server: FakeServer
    driver: CoordinatorDriver
    coordinator: Coordinator
    session_handler: SessionHandler
    turn_seconds: float = 0.0
    attended: list[asyncio.Task[None]] = field(default_factory=list)

    async def join(self, first: int, count: int) -> None:
        """Let clients come, `A_TURN` in a turn, with a tick every hundred turns."""
        ready = asyncio.get_running_loop().create_future()
        ready.set_result(None)
        for i in range(first, first + count):
            session = FakeSession(f"client-{i:05}", i + 1)
            self.server.sessions[session.client_id] = session
            hello = wire.Hello(
                input_shape=[INPUTS], samples=SAMPLES, label_counts=[SAMPLES // CLASSES] * CLASSES
            )
            attend = self.session_handler.handle(session, hello, ready)
            self.attended.append(self.server.context.tasks.create_task(attend))
            if i % A_TURN == 0:
                await asyncio.sleep(0)
            if i % (100 * A_TURN) == 0:
                self.driver.tick()
        await settle()

    async def watch(self) -> None:
        """Measure each turn of the event loop."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.turn_seconds = max(self.turn_seconds, time.thread_time() - before)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Leave out collections, whose time grows with all objects that the tests have made so far."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@asynccontextmanager
async def joining(clients: int) -> AsyncIterator[Joining]:
    spec = tiny_spec(epochs=1, sampling={"globalBatchSize": 128, "seed": 1})
    driver: CoordinatorDriver

    def post(event: messages.Event) -> None:
        driver.post(event)

    with without_garbage_collection():
        async with fake_server(spec, post=post) as server:
            context = server.context
            coordinator = Coordinator(settings_from(spec, clients), 0.0)
            evaluations = EvaluationRunner(context, None, 128)
            driver = CoordinatorDriver(context, coordinator, evaluations, lambda: lambda _: None)
            session_handler = SessionHandler(
                driver, context.connections, context.label_statistics, (INPUTS,), SAMPLES, context.clock
            )
            run = Joining(server, driver, coordinator, session_handler)
            conducting = context.tasks.create_task(driver.run())
            watching = context.tasks.create_task(run.watch())
            yield run
            watching.cancel()
            conducting.cancel()
            for each in run.attended:
                each.cancel()
            with suppress(asyncio.CancelledError):
                await conducting


async def cpu_seconds_to_join(clients: int) -> float:
    async with joining(clients + 1) as run:
        before = time.thread_time()
        await run.join(0, clients)
        assert run.coordinator.membership.live_count == clients
        return time.thread_time() - before


@pytest.mark.slow
async def test_thousands_of_clients_join_in_seconds_without_a_stall():
    async with joining(CLIENTS) as run:
        before = time.thread_time()
        await run.join(0, CLIENTS)
        joined = time.thread_time() - before
        async with asyncio.timeout(60):
            while run.coordinator.phase is not Phase.FORWARD:
                await asyncio.sleep(0)
        await settle()
        active = sum(bool(session.sent_frames) for session in run.server.sessions.values())
        assert active == CLIENTS  # each has its welcome
        longest = run.turn_seconds
    assert joined < 5
    assert longest < MARGIN * 0.02


@pytest.mark.slow
async def test_a_join_takes_the_same_time_for_any_number_of_clients():
    few, many = await cpu_seconds_to_join(500), await cpu_seconds_to_join(5_000)
    assert many < 2 * 10 * few
