"""A client executes training steps, with fakes for connection, loading and torch thread."""

import grpc
import pytest
import torch

from client.fakes import abort, evaluate, fake_client, forward, kinds, labels_sent, sent
from pslgs.spec import InputError
from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.v1 import training_pb2 as wire
from server.fakes import settle

ANSWER = ["labels", "smashed_data"]
STEP = [*ANSWER, "client_gradient"]


async def test_a_step_answers_its_order_with_smashed_data_and_then_the_client_gradient():
    async with fake_client() as client:
        client.feed(forward(4), *client.parameters())
        await settle()
        assert kinds(client.connection) == ANSWER
        expected = client.training.batch(1, 0, 4)
        assert labels_sent(client.connection) == expected.labels.tolist()
        with torch.no_grad():
            smashed = client.part(expected.inputs)
        assert sent(client.connection, wire.Tensor.SMASHED_DATA) == smashed.numpy().tobytes()

        client.feed(*client.cut_gradient(4))
        await settle()
        assert kinds(client.connection) == STEP


async def test_a_batch_is_loaded_while_its_parameters_arrive():
    async with fake_client() as client:
        client.feed(forward(4))
        await settle()
        assert client.loading.loads == [(1, 0, 4)]
        assert kinds(client.connection) == []


async def test_the_forward_pass_waits_for_a_slow_load():
    async with fake_client() as client:
        client.loading.executor.held = True
        client.feed(forward(4), *client.parameters())
        await settle()
        assert kinds(client.connection) == []
        client.loading.executor.release()
        await settle()
        assert kinds(client.connection) == ANSWER


async def test_the_next_batch_is_prefetched_after_the_forward_pass():
    async with fake_client() as client:
        client.connection.reads.clear()  # nothing is sent
        client.feed(forward(4, following=3), *client.parameters())
        await settle()
        assert client.loading.loads == [(1, 0, 4), (1, 4, 3)]


async def test_the_backward_pass_does_not_wait_for_the_next_batch():
    async with fake_client() as client:
        client.torch.held = True
        client.feed(forward(4, following=3), *client.parameters())
        await settle()
        client.loading.executor.held = True
        client.torch.held = False
        client.torch.work()
        await settle()
        assert client.loading.loads == [(1, 0, 4), (1, 4, 3)]
        client.feed(*client.cut_gradient(4))
        await settle()
        assert kinds(client.connection) == STEP
        assert client.loads_observed() == 1


async def test_a_prefetched_batch_is_not_loaded_again():
    async with fake_client() as client:
        client.feed(forward(4, following=3), *client.parameters(), *client.cut_gradient(4))
        await settle()
        client.feed(forward(2, 5, step=2), *client.parameters(step=2))
        await settle()
        assert client.loading.loads == [(1, 0, 4), (1, 4, 3)]
        assert labels_sent(client.connection)[-2:] == client.training.batch(1, 5, 2).labels.tolist()
        assert client.loads_observed() == 2


@pytest.mark.parametrize("phase", ["loading", "parameters", "forward", "sending", "gradient", "backward"])
async def test_after_an_abort_in_any_phase_the_next_attempt_is_executed_completely(phase):
    async with fake_client() as client:
        match phase:
            case "loading":
                client.loading.executor.held = True
                client.feed(forward(4, following=2), *client.parameters())
            case "parameters":
                client.feed(forward(4, following=2))
            case "forward":
                client.torch.held = True
                client.feed(forward(4, following=2), *client.parameters())
            case "sending":
                client.connection.reads.clear()
                client.feed(forward(4, following=2), *client.parameters())
            case "gradient":
                client.feed(forward(4, following=2), *client.parameters())
            case "backward":
                client.feed(forward(4, following=2), *client.parameters())
                await settle()
                client.torch.held = True
                client.feed(*client.cut_gradient(4))
        await settle()
        client.feed(abort())
        await settle()
        client.loading.executor.release()
        client.torch.held = False
        client.connection.reads.set()
        client.connection.sent_frames.clear()
        client.feed(*client.cut_gradient(4))  # of the aborted attempt, too late
        await settle()
        # What gRPC had been given is sent.
        assert kinds(client.connection) == (["labels", "smashed_data"] if phase == "sending" else [])
        client.connection.sent_frames.clear()

        client.feed(forward(5, attempt=2), *client.parameters(attempt=2), *client.cut_gradient(5, attempt=2))
        await settle()
        assert kinds(client.connection) == STEP
        assert labels_sent(client.connection) == client.training.batch(1, 0, 5).labels.tolist()


async def test_an_abort_cancels_the_load():
    async with fake_client() as client:
        client.loading.executor.held = True
        client.feed(forward(4))
        await settle()
        client.feed(abort())
        await settle()
        assert client.loading.executor.cancelled == 1


async def test_an_abort_of_another_attempt_is_ignored():
    async with fake_client() as client:
        client.feed(forward(4, attempt=2), abort(attempt=1), *client.parameters(attempt=2))
        await settle()
        assert kinds(client.connection) == ANSWER


async def test_tensors_of_an_earlier_attempt_are_ignored():
    async with fake_client() as client:
        client.feed(forward(4, attempt=2), *client.parameters(attempt=1))
        await settle()
        assert kinds(client.connection) == []
        client.feed(*client.parameters(attempt=2))
        await settle()
        assert kinds(client.connection) == ANSWER


async def test_a_new_order_replaces_the_current_one():
    async with fake_client() as client:
        client.loading.executor.held = True
        client.feed(forward(4), *client.parameters(), forward(3, step=2), *client.parameters(step=2))
        client.loading.executor.release()
        await settle()
        assert labels_sent(client.connection) == client.training.batch(1, 0, 3).labels.tolist()


@pytest.mark.parametrize(
    "frames",
    [
        lambda _: [forward(4, offset=7)],
        lambda _: [forward(0)],
        lambda _: [forward(4, following=7)],
        lambda _: [evaluate(8, 3)],
        lambda _: [evaluate(0, 0)],
        lambda client: [forward(4), *client.parameters(), *client.parameters()],
        lambda client: [forward(4), *client.cut_gradient(3)],
        lambda client: [forward(4), *client.cut_gradient(4), *client.cut_gradient(4)],
    ],
    ids=[
        "beyond its samples",
        "no samples",
        "next beyond its samples",
        "evaluation beyond its samples",
        "evaluation of no samples",
        "parameters twice",
        "another slice",
        "gradient twice",
    ],
)
async def test_a_client_ends_the_session_of_a_server_that_violates_the_protocol(frames):
    async with fake_client() as client:
        client.feed(*frames(client))
        await settle()
        with pytest.raises(ProtocolViolation):
            client.execution.result()


@pytest.mark.parametrize("ahead", [False, True], ids=["when it is ordered", "ahead"])
@pytest.mark.parametrize(
    ("attribute", "words"),
    [("damaged", "has a damaged row"), ("not_finite", "not finite")],
    ids=["damaged", "not a number"],
)
async def test_an_unusable_sample_is_reported_to_the_server(attribute, words, ahead):
    async with fake_client() as client:
        order = client.training.order(1).tolist()
        setattr(client.rows, attribute, order[4])
        if ahead:
            client.feed(forward(4, following=3), *client.parameters(), *client.cut_gradient(4))
            await settle()
            assert kinds(client.connection) == STEP  # the step that did not need the sample is whole
        client.feed(forward(3, 4, step=2))
        await settle()
        failure = client.connection.sent_frames[-1].header.failure
        assert failure.exit_code == 2
        assert failure.message.startswith("spec.data.train: ")
        assert words in failure.message
        assert str(order[4]) in failure.message
        with pytest.raises(InputError, match=words):
            client.execution.result()


async def test_a_damaged_sample_ends_the_client_even_if_the_server_is_gone():
    async with fake_client() as client:
        client.rows.damaged = client.training.order(1).tolist()[0]
        client.loading.executor.held = True
        client.feed(forward(4))
        await settle()
        client.connection.ended = (grpc.StatusCode.UNAVAILABLE, "gone")
        client.loading.executor.release()
        await settle()
        with pytest.raises(InputError, match="damaged row"):
            client.execution.result()


async def test_a_damaged_sample_that_is_prefetched_but_never_ordered_is_ignored():
    async with fake_client() as client:
        client.rows.damaged = client.training.order(1).tolist()[4]
        client.feed(forward(4, following=3), *client.parameters(), *client.cut_gradient(4))
        await settle()
        client.feed(forward(2, 0, step=2), *client.parameters(step=2), *client.cut_gradient(2, step=2))
        await settle()
        assert kinds(client.connection) == [*STEP, *STEP]
