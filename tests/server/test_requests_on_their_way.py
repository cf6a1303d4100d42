"""The coordinator is told when what it asks of clients can be sent, and when it is sent."""

import asyncio
import weakref
from itertools import pairwise

from pslgs.coordination import messages
from pslgs.coordination.messages import ExchangeId, RequestSent, RequestsReady
from pslgs.server.receive_buffers import StepBuffers
from pslgs.server.step_runner import REQUESTS_A_TURN, StepRunner
from server.fakes import (
    FakeServer,
    ManualTorchThread,
    deliver,
    fake_server,
    forward_answer,
    local_batches,
    settle,
    tiny_spec,
)

EXCHANGE = ExchangeId(step=1, attempt=1)
SAMPLES = {"fast": 2, "slow": 2}


def order_forward(server: FakeServer, runner: StepRunner) -> None:
    runner.order_forward(
        [messages.OrderForward(EXCHANGE, 1, local_batch, 0) for local_batch in local_batches(server, SAMPLES)]
    )


async def test_orders_are_ready_once_the_parameters_are_read():
    async with fake_server(torch_thread=ManualTorchThread(held=True)) as server:
        for name in SAMPLES:
            server.connect(name)
        order_forward(server, StepRunner(server.context))
        await settle()
        assert server.requests == []
        server.torch.work()
        await settle()
        assert server.requests == [RequestsReady(EXCHANGE)]


async def test_an_order_is_reported_as_sent_once_its_slow_client_has_taken_all_of_it():
    async with fake_server() as server:
        for name in SAMPLES:
            server.connect(name)
        server.sessions["slow"].reads.clear()
        order_forward(server, StepRunner(server.context))
        await settle()
        assert server.requests == [RequestsReady(EXCHANGE)]
        server.clock.now += 1
        server.sessions["slow"].reads.set()
        await settle()
        assert server.requests[1:] == [RequestSent("slow", EXCHANGE)]


async def test_an_order_that_is_cancelled_while_it_is_sent_is_not_reported_as_sent():
    async with fake_server() as server:
        server.connect("fast")
        server.connect("slow").reads.clear()
        runner = StepRunner(server.context)
        order_forward(server, runner)
        await settle()
        runner.abandon(
            messages.AbandonAttempt(EXCHANGE, 1, local_batches(server, SAMPLES), "client_lost", "it went")
        )
        server.clock.now += 1
        server.sessions["slow"].reads.set()
        await settle()
        assert RequestSent("slow", EXCHANGE) not in server.requests


async def test_cut_gradients_are_sent_once_each_client_has_taken_its_own():
    async with fake_server() as server:
        runner = StepRunner(server.context)
        for name in SAMPLES:
            server.connect(name)
        order_forward(server, runner)
        await settle()
        for session in server.sessions.values():
            deliver(runner.receive, session, forward_answer(server, EXCHANGE, [0, 1]))
        runner.run_server_step(messages.RunServerStep(EXCHANGE, 1, local_batches(server, SAMPLES)))
        await settle()
        server.requests.clear()
        server.sessions["slow"].reads.clear()
        runner.send_cut_gradients(messages.SendCutGradients(EXCHANGE, local_batches(server, SAMPLES)))
        await settle()
        assert server.requests == [RequestsReady(EXCHANGE)]


async def test_many_requests_leave_turns_of_the_event_loop_for_others():
    clients = {f"client-{number}": 1 for number in range(3 * REQUESTS_A_TURN)}
    async with fake_server(tiny_spec(sampling={"globalBatchSize": len(clients)})) as server:
        for name in clients:
            server.connect(name)
        runner = StepRunner(server.context)
        runner.order_forward(
            [messages.OrderForward(EXCHANGE, 1, each, 0) for each in local_batches(server, clients)]
        )
        turns = list[int]()
        while not turns or turns[-1] < len(clients):
            await asyncio.sleep(0)
            turns.append(sum(bool(session.sent_frames) for session in server.sessions.values()))
        assert max(later - earlier for earlier, later in pairwise(turns)) <= REQUESTS_A_TURN


async def test_the_memory_of_an_exchange_is_free_at_once_when_it_is_over():
    async with fake_server() as server:
        server.connect("fast")
        server.connect("slow")
        buffers = StepBuffers(server.context, EXCHANGE, local_batches(server, SAMPLES))
        buffers.expect_gradients()
        alive = weakref.ref(buffers)
        del buffers
        assert alive() is None  # without the help of a garbage collection
