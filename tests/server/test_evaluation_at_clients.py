"""An evaluation at the clients, led by the real coordinator, over sessions that answer at once."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import torch

from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.messages import ExchangeId
from pslgs.coordination.settings import settings_from
from pslgs.server import evaluation_runner
from pslgs.server.driver import CoordinatorDriver
from pslgs.server.evaluation_runner import EvaluationRunner
from pslgs.spec import ServerPhase
from pslgs.telemetry.records import AbortRecord, ClientRecord, EvaluationRecord
from pslgs.training.evaluation import Score
from pslgs.transport.messages import Frame
from pslgs.transport.v1 import training_pb2 as wire
from server.fakes import (
    CLASSES,
    FakeServer,
    FakeSession,
    ManualTorchThread,
    bodies,
    deliver,
    fake_server,
    forward_answer,
    gradient_answer,
    local_batches,
    sent_tensor,
    settle,
    tiny_spec,
)

EXCHANGE = ExchangeId(step=1, attempt=0)


def smashed_data(client: str, first: int, rows: int) -> tuple[torch.Tensor, list[int]]:
    """Return what a client answers for a range, the same each time."""
    positions = torch.arange(first, first + rows, dtype=torch.float32)
    number = float(client.rsplit("-", 1)[1])
    return torch.stack((positions / 7, positions * 0 + number / 3), dim=1), [
        int(position) % CLASSES for position in positions
    ]


class Answering(FakeSession):
    """A client that answers each order at once, or only those to train.

    Attributes:
        evaluates: Whether it answers the orders of an evaluation.
    """

    evaluates = True
    server: FakeServer
    driver: CoordinatorDriver

    async def accept(self, message: bytes) -> None:
        already = len(self.sent_frames)
        await super().accept(message)
        for frame in self.sent_frames[already:]:
            deliver(self.driver.receive, self, self.answer(frame))

    def answer(self, frame: Frame) -> list[Frame]:
        header = frame.header
        match header.WhichOneof("body"):
            case "forward":
                order = header.forward
                exchange = ExchangeId(order.step, order.attempt)
                return forward_answer(self.server, exchange, [0] * order.samples)
            case "evaluate" if self.evaluates:
                order = header.evaluate
                smashed, labels = smashed_data(self.client_id, order.first, order.samples)
                return forward_answer(self.server, ExchangeId(order.step, 0), labels, smashed)
            case "tensor" if header.tensor.kind == wire.Tensor.CUT_GRADIENT:
                return gradient_answer(self.server, ExchangeId(header.tensor.step, header.tensor.attempt))
        return []


@dataclass
class Evaluating:
    """A server on its way through a job of one step and one evaluation."""

    server: FakeServer
    driver: CoordinatorDriver
    finish: asyncio.Task[messages.Finish]

    @property
    def over(self) -> bool:
        return self.finish.done()

    def clients_lost(self) -> list[str]:
        return [record.client for record in self.server.records(ClientRecord) if record.change == "lost"]


@asynccontextmanager
async def evaluating(clients: int, samples: int, batch: int, timeout: int = 30) -> AsyncIterator[Evaluating]:
    """Lead ``clients`` with ``samples`` evaluation samples each; their training samples make one batch."""
    spec = tiny_spec(
        epochs=1,
        sampling={"globalBatchSize": batch, "seed": 1},
        data={
            "train": {"format": "NumPy", "path": "/nowhere"},
            "evaluation": {"at": "Clients", "format": "NumPy", "path": "/nowhere"},
        },
        faultTolerance={"clientTimeoutSeconds": timeout},
    )
    driver: CoordinatorDriver

    def post(event: messages.Event) -> None:
        driver.post(event)

    async with fake_server(spec, post=post) as server:
        coordinator = Coordinator(settings_from(spec, clients), 0.0)
        runner = EvaluationRunner(server.context, None, batch)
        driver = CoordinatorDriver(server.context, coordinator, runner, lambda: lambda _: None)
        for i in range(clients):
            session = Answering(name := f"client-{i:03}", i + 1)
            session.server, session.driver = server, driver
            server.sessions[name] = session
            server.context.connections.connect(session)
            held = batch // clients + (i < batch % clients)
            classes = (held, *[0] * (CLASSES - 1))
            driver.post(messages.Joined(name, session.number, held, samples, classes))
        yield Evaluating(server, driver, server.context.tasks.create_task(driver.run()))


async def test_clients_that_answer_at_once_are_not_lost_because_the_server_scores_slowly():
    async with evaluating(clients=16, samples=40, batch=16, timeout=1) as run:
        run.server.torch.held = True
        while not run.over:
            await settle()
            if run.server.torch.waiting:
                for _ in range(3):
                    run.server.clock.now += 0.5
                    run.driver.tick()
                    await settle()
                run.server.torch.work(1)
        assert run.server.clock.now > 16 * 3 * 1.5
        assert run.clients_lost() == []
        assert run.server.records(AbortRecord) == []
        (record,) = run.server.records(EvaluationRecord)
        assert (record.samples, record.missing) == (16 * 40, ())


async def test_a_client_that_does_not_answer_is_lost_and_named_and_the_rest_is_evaluated():
    async with evaluating(clients=4, samples=20, batch=8, timeout=2) as run:
        silent = run.server.sessions["client-001"]
        silent.evaluates = False
        while not run.over:
            await settle()
            run.server.clock.now += 0.5
            run.driver.tick()
        assert run.clients_lost() == ["client-001"]
        assert silent.ended is not None
        (record,) = run.server.records(EvaluationRecord)
        assert (record.samples, record.missing) == (3 * 20, ("client-001",))


async def test_a_client_that_is_lost_after_a_range_counts_with_none_of_them():
    async with evaluating(clients=4, samples=20, batch=8, timeout=2) as run:
        leaving = run.server.sessions["client-001"]
        original = leaving.answer

        def answers_once(frame: Frame) -> list[Frame]:
            answer = original(frame)
            leaving.evaluates = frame.header.WhichOneof("body") != "evaluate"
            return answer

        leaving.answer = answers_once
        while not run.over:
            await settle()
            run.server.clock.now += 0.5
            run.driver.tick()
        assert run.clients_lost() == ["client-001"]
        (record,) = run.server.records(EvaluationRecord)
        assert (record.samples, record.missing) == (3 * 20, ("client-001",))


async def test_a_server_whose_clients_are_all_there_shows_no_message():
    shown: set[tuple[ServerPhase, str]] = set()
    async with evaluating(clients=2, samples=4, batch=8) as run:
        while not run.over:
            await asyncio.sleep(0)
            status = run.server.context.recorder.status
            shown.add((status.phase, status.message))
    assert {phase for phase, _ in shown} > {ServerPhase.TRAINING, ServerPhase.EVALUATING}
    assert {message for phase, message in shown if phase is not ServerPhase.FINISHED} == {""}


@pytest.mark.slow
async def test_in_the_setting_of_the_paper_two_global_batches_at_most_are_in_memory(monkeypatch):
    alive: weakref.WeakSet[evaluation_runner.StepBuffers] = weakref.WeakSet()

    class Measured(evaluation_runner.StepBuffers):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            alive.add(self)

    monkeypatch.setattr(evaluation_runner, "StepBuffers", Measured)
    most = 0
    async with evaluating(clients=128, samples=128, batch=128) as run:
        run.server.torch.held = True
        while not run.over:
            await settle()
            most = max(most, sum(buffers.smashed.nbytes for buffers in alive))
            if run.server.torch.waiting:
                run.server.torch.work(1)
        layout = run.server.task.layout
        assert most == 2 * 128 * layout.features * layout.dtype.itemsize
        assert run.server.records(EvaluationRecord)[0].samples == 128 * 128


async def test_figures_are_those_of_the_ranges_summed_in_order_of_the_clients():
    async with evaluating(clients=5, samples=21, batch=8) as run:
        await run.finish
        expected: dict[str, Score] = {}
        for name in sorted(run.server.sessions):
            expected[name] = Score()
            for first, rows in ((0, 8), (8, 8), (16, 5)):
                smashed, labels = smashed_data(name, first, rows)
                encoded = run.server.task.objective.as_labels(torch.tensor(labels))
                expected[name] += run.server.context.model.score(smashed, encoded)
        (record,) = run.server.records(EvaluationRecord)
        figures = {name: (one.samples, one.loss, one.accuracy) for name, one in record.clients.items()}
        assert figures == {name: (one.samples, one.loss, one.accuracy) for name, one in expected.items()}
        total = sum(expected.values(), Score())
        assert (record.samples, record.loss, record.accuracy) == (total.samples, total.loss, total.accuracy)


class CountingReads(ManualTorchThread):
    """Counts how often the client part's parameters are read."""

    reads = 0

    def submit(self, call, *args, **kwargs):
        self.reads += call.__name__ == "evaluated_parameters"
        return super().submit(call, *args, **kwargs)


async def test_the_parameters_are_read_once_for_all_clients_of_an_evaluation():
    thread = CountingReads()
    async with fake_server(torch_thread=thread) as server:
        runner = EvaluationRunner(server.context, None, 8)
        sessions = [server.connect(f"client-{i}") for i in range(10)]
        for local_batch in local_batches(server, {session.client_id: 2 for session in sessions}):
            runner.order_range(messages.OrderEvaluation(EXCHANGE, local_batch))
        await settle()
        assert thread.reads == 1
        sent = {sent_tensor(session, wire.Tensor.PARAMETERS) for session in sessions}
        assert len(sent) == 1
        assert all(sent)


async def test_an_order_whose_evaluation_was_abandoned_meanwhile_is_not_sent():
    async with fake_server(torch_thread=ManualTorchThread(held=True)) as server:
        session = server.connect("a")
        runner = EvaluationRunner(server.context, None, 8)
        runner.order_range(messages.OrderEvaluation(EXCHANGE, *local_batches(server, {"a": 2})))
        await settle()
        runner.abandon()
        server.torch.work()
        await settle()
        assert bodies(session) == []


@pytest.mark.parametrize("reads", [True, False], ids=["a client that reads", "a client that does not"])
async def test_a_time_out_begins_when_the_order_is_ready_and_anew_when_it_is_sent_to_the_client(reads):
    async with fake_server(torch_thread=ManualTorchThread(held=True)) as server:
        session = server.connect("a")
        if not reads:
            session.reads.clear()
        runner = EvaluationRunner(server.context, None, 8)
        runner.order_range(messages.OrderEvaluation(EXCHANGE, *local_batches(server, {"a": 2})))
        await settle()
        assert server.requests == []
        server.torch.work()
        await settle()
        assert server.requests == [messages.RequestsReady(EXCHANGE)]
        server.clock.now += 1
        session.reads.set()
        await settle()
        sent = [] if reads else [messages.RequestSent("a", EXCHANGE)]
        assert server.requests[1:] == sent


async def test_chunks_of_a_lost_client_are_not_received():
    async with fake_server() as server:
        session = server.connect("a")
        runner = EvaluationRunner(server.context, None, 8)
        runner.order_range(messages.OrderEvaluation(EXCHANGE, *local_batches(server, {"a": 2})))
        await settle()
        runner.drop_range(messages.DropEvaluation(EXCHANGE, "a"))
        assert deliver(runner.receive, session, forward_answer(server, EXCHANGE, [0, 1])) is None
