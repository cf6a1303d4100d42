"""A client executes evaluation orders, with fakes for connection, loading and torch thread."""

import pytest
import torch

from client.fakes import abort, evaluate, fake_client, forward, kinds, labels_sent, sent
from pslgs.spec import InputError
from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.v1 import training_pb2 as wire
from server.fakes import settle


async def test_ranges_are_evaluated_with_the_parameters_of_the_first_order():
    async with fake_client() as client:
        client.feed(evaluate(0, 6), *client.parameters(attempt=0))
        await settle()
        client.feed(evaluate(6, 4))
        await settle()
        assert kinds(client.connection) == ["labels", "smashed_data"] * 2
        assert labels_sent(client.connection) == client.evaluation_rows.labels.tolist()
        client.part.eval()
        with torch.no_grad():
            whole = [client.part(client.training.in_order(*part).inputs).numpy() for part in ((0, 6), (6, 4))]
        assert sent(client.connection, wire.Tensor.SMASHED_DATA) == b"".join(part.tobytes() for part in whole)


async def test_the_next_range_is_prefetched():
    async with fake_client() as client:
        client.feed(evaluate(0, 6), *client.parameters(attempt=0))
        await settle()
        assert client.loading.loads == [(None, 0, 6), (None, 6, 4)]
        client.feed(evaluate(6, 4))
        await settle()
        assert client.loading.loads == [(None, 0, 6), (None, 6, 4)]


async def test_a_step_discards_the_batch_that_an_evaluation_prefetched():
    async with fake_client() as client:
        client.feed(evaluate(0, 6), *client.parameters(attempt=0))
        await settle()
        client.loading.executor.held = True
        client.feed(evaluate(0, 3, step=2), *client.parameters(step=2, attempt=0))
        await settle()
        client.feed(abort(step=2, attempt=0), forward(4, step=3))
        await settle()
        assert client.loading.loads == [(None, 0, 6), (None, 6, 4), (None, 0, 3), (1, 0, 4)]
        assert client.loading.executor.cancelled == 1


async def test_an_aborted_evaluation_sends_nothing():
    async with fake_client() as client:
        client.torch.held = True
        client.feed(evaluate(0, 6), *client.parameters(attempt=0), abort(attempt=0))
        await settle()
        client.torch.held = False
        client.torch.work()
        await settle()
        assert kinds(client.connection) == []


async def test_a_damaged_evaluation_sample_is_reported_to_the_server():
    async with fake_client() as client:
        client.evaluation_rows.damaged = 2
        client.feed(evaluate(0, 6), *client.parameters(attempt=0))
        await settle()
        assert "damaged row 2" in client.connection.sent_frames[-1].header.failure.message
        with pytest.raises(InputError, match="damaged row 2"):
            client.execution.result()


async def test_an_evaluation_order_for_a_client_without_evaluation_data_violates_the_protocol():
    async with fake_client(evaluates=False) as client:
        client.feed(evaluate(0, 1))
        await settle()
        with pytest.raises(ProtocolViolation, match="without evaluation samples"):
            client.execution.result()


async def test_tensors_other_than_parameters_violate_the_protocol():
    async with fake_client() as client:
        client.feed(evaluate(0, 6), *client.cut_gradient(6, attempt=0))
        await settle()
        with pytest.raises(ProtocolViolation, match="not asked for"):
            client.execution.result()
