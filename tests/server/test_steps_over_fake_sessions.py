"""The step runner, over sessions and a torch thread that a test has in its hands."""

import numpy as np
import pytest
import torch

from pslgs.coordination import messages
from pslgs.coordination.messages import ExchangeId
from pslgs.server.step_runner import StepRunner
from pslgs.telemetry.records import AbortRecord, StepRecord
from pslgs.transport.codec import tensor_bytes
from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.v1 import training_pb2 as wire
from server.fakes import (
    FakeServer,
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

EXCHANGE = ExchangeId(step=1, attempt=1)


def forward_orders(server: FakeServer, samples: dict[str, int]) -> list[messages.OrderForward]:
    return [
        messages.OrderForward(EXCHANGE, 1, local_batch, 0) for local_batch in local_batches(server, samples)
    ]


async def test_a_step_goes_from_its_orders_to_a_record_of_its_update():
    samples = {"a": 3, "b": 5}
    async with fake_server() as server:
        sessions = {name: server.connect(name) for name in samples}
        runner = StepRunner(server.context)
        before = server.context.model.parameters()

        runner.order_forward(forward_orders(server, samples))
        await settle()
        for name, session in sessions.items():
            assert bodies(session) == ["forward", "tensor"]
            assert session.sent_frames[0].header.forward.samples == samples[name]
            assert sent_tensor(session, wire.Tensor.PARAMETERS) == bytes(tensor_bytes(before))

        for name, session in sessions.items():
            event = deliver(runner.receive, session, forward_answer(server, EXCHANGE, [1] * samples[name]))
            assert event == messages.SmashedDataReceived(name, EXCHANGE)
        runner.run_server_step(messages.RunServerStep(EXCHANGE, 1, local_batches(server, samples)))
        await settle()
        assert server.events == [messages.ServerStepDone(EXCHANGE)]

        runner.send_cut_gradients(messages.SendCutGradients(EXCHANGE, local_batches(server, samples)))
        await settle()
        gradient = np.frombuffer(sent_tensor(sessions["b"], wire.Tensor.CUT_GRADIENT), dtype=np.float32)
        assert gradient.shape == (5 * server.task.layout.features,)
        assert np.any(gradient)

        for session in sessions.values():
            deliver(runner.receive, session, gradient_answer(server, EXCHANGE, torch.ones(len(before))))
        runner.apply_update(messages.ApplyUpdate(EXCHANGE, 1, local_batches(server, samples)))
        await settle()
        assert server.events[-1] == messages.UpdateDone(EXCHANGE)
        (record,) = server.records(StepRecord)
        assert (record.batch_size, record.allocation) == (8, {"a": (0, 3), "b": (0, 5)})
        step = record.learning_rate * 2  # the sum of both clients' ones
        torch.testing.assert_close(server.context.model.parameters(), before - step)


async def complete_step(
    server: FakeServer, runner: StepRunner, exchange: ExchangeId, samples: dict[str, int]
):
    """Lead a step from its orders to its update; the clients' gradients are ones."""
    batches = local_batches(server, samples)
    runner.order_forward([messages.OrderForward(exchange, 1, each, 0) for each in batches])
    await settle()
    for number, each in enumerate(batches):
        answer = forward_answer(server, exchange, [number] * each.samples)
        deliver(runner.receive, server.sessions[each.client], answer)
    runner.run_server_step(messages.RunServerStep(exchange, 1, batches))
    await settle()
    runner.send_cut_gradients(messages.SendCutGradients(exchange, batches))
    await settle()
    for each in batches:
        ones = torch.ones(server.task.client_gradient_elements)
        deliver(runner.receive, server.sessions[each.client], gradient_answer(server, exchange, ones))
    runner.apply_update(messages.ApplyUpdate(exchange, 1, batches))
    await settle()


async def test_each_client_gets_its_own_rows_of_the_cut_gradient():
    async with fake_server() as server:
        a, b = server.connect("a"), server.connect("b")
        await complete_step(server, StepRunner(server.context), EXCHANGE, {"a": 2, "b": 2})
        kind = wire.Tensor.CUT_GRADIENT
        assert len(sent_tensor(a, kind)) == len(sent_tensor(b, kind)) > 0
        assert sent_tensor(a, kind) != sent_tensor(b, kind)  # their labels differ


async def test_a_step_begins_with_the_parameters_that_the_one_before_gave():
    async with fake_server() as server:
        session, runner = server.connect("a"), StepRunner(server.context)
        await complete_step(server, runner, EXCHANGE, {"a": 2})
        session.sent_frames.clear()
        between = bytes(tensor_bytes(server.context.model.parameters()))
        await complete_step(server, runner, ExchangeId(step=2, attempt=1), {"a": 2})
        assert sent_tensor(session, wire.Tensor.PARAMETERS) == between


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ([wire.Tensor.SMASHED_DATA], "on were due, after the labels"),
        ([wire.Tensor.LABELS, wire.Tensor.SMASHED_DATA, wire.Tensor.SMASHED_DATA], "after all of the local"),
        ([wire.Tensor.CLIENT_GRADIENT], "was not asked for"),
    ],
)
async def test_chunks_out_of_order_violate_the_protocol(kinds, problem):
    async with fake_server() as server:
        session, runner = server.connect("a"), StepRunner(server.context)
        runner.order_forward(forward_orders(server, {"a": 2}))
        await settle()
        chunks = [*forward_answer(server, EXCHANGE, [0, 1]), *gradient_answer(server, EXCHANGE)]
        by_kind = {chunk.header.tensor.kind: chunk for chunk in chunks}
        with pytest.raises(ProtocolViolation, match=problem):
            deliver(runner.receive, session, [by_kind[kind] for kind in kinds])


async def test_an_attempt_abandoned_before_the_torch_thread_comes_to_it_is_not_computed():
    samples = {"a": 2}
    async with fake_server(torch_thread=ManualTorchThread()) as server:
        session = server.connect("a")
        runner = StepRunner(server.context)
        runner.order_forward(forward_orders(server, samples))
        await settle()
        deliver(runner.receive, session, forward_answer(server, EXCHANGE, [0, 1]))
        server.torch.held = True
        runner.run_server_step(messages.RunServerStep(EXCHANGE, 1, local_batches(server, samples)))
        await settle()
        runner.abandon(
            messages.AbandonAttempt(EXCHANGE, 1, local_batches(server, samples), "client_lost", "it went")
        )
        server.torch.work()
        await settle()
        assert server.events == []
        assert bodies(session)[-1] == "abort"
        assert [record.reason for record in server.records(AbortRecord)] == ["it went"]
        with pytest.raises(ProtocolViolation, match="after the answer of which it is a part was complete"):
            deliver(runner.receive, session, forward_answer(server, EXCHANGE, [0, 1]))


class WatchedTorchThread(ManualTorchThread):
    """Knows whether the code that asks runs in it."""

    inside = False

    def submit(self, call, *args, **kwargs):
        def watched():
            self.inside = True
            try:
                return call(*args, **kwargs)
            finally:
                self.inside = False

        return super().submit(watched)


async def to_the_server_step(server: FakeServer, samples: dict[str, int]) -> StepRunner:
    runner = StepRunner(server.context)
    runner.order_forward(forward_orders(server, samples))
    await settle()
    encoding = server.context.encoding
    for name, count in samples.items():
        smashed = torch.ones(count, server.task.layout.features)
        data = torch.frombuffer(bytearray(encoding.encode(smashed)), dtype=torch.uint8)
        answer = forward_answer(server, EXCHANGE, [1] * count)
        labels = [each for each in answer if each.header.tensor.kind == wire.Tensor.LABELS]
        deliver(runner.receive, server.sessions[name], labels)
        header = wire.Tensor(
            kind=wire.Tensor.SMASHED_DATA, step=1, attempt=1, first=0, samples=count, offset=0
        )
        runner.receive(server.sessions[name], header, memoryview(bytes(data.numpy())))
    return runner


async def to_the_backward_phase(server: FakeServer, samples: dict[str, int]) -> StepRunner:
    runner = await to_the_server_step(server, samples)
    runner.run_server_step(messages.RunServerStep(EXCHANGE, 1, local_batches(server, samples)))
    await settle()
    return runner


@pytest.mark.parametrize("compression", ["None", "Float16", "Int8"])
async def test_cut_gradients_are_encoded_once_for_all_clients_in_the_torch_thread(compression, monkeypatch):
    samples, encoded = {"a": 2, "b": 3}, list[tuple[bool, int]]()
    spec = tiny_spec(transport={"compression": compression})
    async with fake_server(spec, torch_thread=WatchedTorchThread()) as server:
        for name in samples:
            server.connect(name)
        encode = server.context.encoding.encode
        runner = await to_the_server_step(server, samples)

        def noted(tensor):
            encoded.append((server.torch.inside, len(tensor)))
            return encode(tensor)

        monkeypatch.setattr(server.context.encoding, "encode", noted)
        runner.run_server_step(messages.RunServerStep(EXCHANGE, 1, local_batches(server, samples)))
        await settle()
        server.torch.held = True  # nothing more is to be computed
        runner.send_cut_gradients(messages.SendCutGradients(EXCHANGE, local_batches(server, samples)))
        await settle()
        for name, count in samples.items():
            data = sent_tensor(server.sessions[name], wire.Tensor.CUT_GRADIENT)
            assert len(data) == server.context.encoding.encoded_bytes(count)
    assert encoded == [(True, 5)]


class CountingTorchThread(ManualTorchThread):
    calls = 0

    def submit(self, call, *args, **kwargs):
        self.calls += 1
        return super().submit(call, *args, **kwargs)


@pytest.mark.parametrize("clients", [1, 40])
async def test_a_small_step_costs_two_messages_a_client_and_two_calls_in_the_torch_thread(clients):
    samples = {f"client-{number:02}": 2 for number in range(clients)}
    async with fake_server(torch_thread=CountingTorchThread()) as server:
        for name in samples:
            server.connect(name)
        runner = await to_the_backward_phase(server, samples)
        runner.send_cut_gradients(messages.SendCutGradients(EXCHANGE, local_batches(server, samples)))
        await settle()
        for session in server.sessions.values():
            deliver(runner.receive, session, gradient_answer(server, EXCHANGE))
        runner.apply_update(messages.ApplyUpdate(EXCHANGE, 1, local_batches(server, samples)))
        await settle()
        assert server.records(StepRecord)
        assert {session.messages for session in server.sessions.values()} == {2}
        assert server.torch.calls == 3  # with the parameters that the process begins with


async def test_the_quality_of_a_batch_is_computed_in_the_torch_thread(monkeypatch):
    places: list[bool] = []
    async with fake_server(torch_thread=WatchedTorchThread()) as server:
        session = server.connect("a")
        quality = server.context.label_statistics.quality

        def noted(labels):
            places.append(server.torch.inside)
            return quality(labels)

        monkeypatch.setattr(server.context.label_statistics, "quality", noted)
        runner = await to_the_backward_phase(server, {"a": 2})
        runner.send_cut_gradients(messages.SendCutGradients(EXCHANGE, local_batches(server, {"a": 2})))
        await settle()
        gradient = torch.ones(len(server.context.model.parameters()))
        deliver(runner.receive, session, gradient_answer(server, EXCHANGE, gradient))
        runner.apply_update(messages.ApplyUpdate(EXCHANGE, 1, local_batches(server, {"a": 2})))
        await settle()
        assert server.records(StepRecord)
    assert places == [True]
