"""Numbers from clients with which the server must not compute."""

from dataclasses import dataclass
from math import inf, nan

import pytest
import torch

from pslgs.coordination import messages
from pslgs.coordination.messages import ExchangeId
from pslgs.server import run_checkpoint
from pslgs.server.evaluation_runner import EvaluationRunner
from pslgs.server.step_runner import StepRunner
from pslgs.telemetry.records import StepRecord
from pslgs.training.checkpoint import CheckpointStore
from server.fakes import (
    FakeServer,
    FakeSession,
    deliver,
    fake_server,
    forward_answer,
    gradient_answer,
    local_batches,
    settle,
    tiny_spec,
)

EXCHANGE = ExchangeId(step=1, attempt=1)
SAMPLES = {"a": 3, "b": 5}
BROKEN = pytest.mark.parametrize("value", [nan, inf, -inf, 3e38], ids=str)


@dataclass
class Step:
    """One attempt of two clients; ``b`` sends what the test says, ``a`` ordinary numbers."""

    server: FakeServer
    runner: StepRunner
    sessions: dict[str, FakeSession]

    async def forward(self, smashed: torch.Tensor, labels=None) -> None:
        self.runner.order_forward(
            [messages.OrderForward(EXCHANGE, 1, local_batch, 0) for local_batch in self.local_batches]
        )
        await settle()
        self._deliver("a", forward_answer(self.server, EXCHANGE, [0, 1, 2]))
        self._deliver("b", forward_answer(self.server, EXCHANGE, labels or [0, 1, 2, 0, 1], smashed))
        self.runner.run_server_step(messages.RunServerStep(EXCHANGE, 1, self.local_batches))
        await settle()

    async def backward(self, gradient: torch.Tensor) -> None:
        self.runner.send_cut_gradients(messages.SendCutGradients(EXCHANGE, self.local_batches))
        await settle()
        self._deliver("a", gradient_answer(self.server, EXCHANGE))
        self._deliver("b", gradient_answer(self.server, EXCHANGE, gradient))
        self.runner.apply_update(messages.ApplyUpdate(EXCHANGE, 1, self.local_batches))
        await settle()

    @property
    def local_batches(self) -> tuple[messages.LocalBatch, ...]:
        return local_batches(self.server, SAMPLES)

    @property
    def fault(self):
        """What the coordinator was told of a fault, after everything else."""
        event = self.server.events[-1]
        assert isinstance(event, messages.NumericFaultFound)
        assert event.exchange == EXCHANGE
        return event.fault

    def _deliver(self, client, frames) -> None:
        deliver(self.runner.receive, self.sessions[client], frames)


def begin(server: FakeServer) -> Step:
    return Step(server, StepRunner(server.context), {name: server.connect(name) for name in SAMPLES})


def ordinary(server: FakeServer) -> torch.Tensor:
    return torch.ones((5, server.task.layout.features))


def everything(server: FakeServer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in server.context.model.named_tensors().items()}


def assert_untouched(server: FakeServer, before: dict[str, torch.Tensor]) -> None:
    for name, tensor in server.context.model.named_tensors().items():
        assert torch.equal(tensor, before[name]), name
    assert server.records(StepRecord) == []


@BROKEN
async def test_one_value_in_smashed_data_is_its_senders_fault_and_nothing_is_computed(value):
    async with fake_server() as server:
        before, smashed = everything(server), ordinary(server)
        smashed[2, 1] = value
        step = begin(server)
        await step.forward(smashed)
        assert step.fault.clients.keys() == {"b"}
        assert "smashed data" in step.fault.clients["b"]
        assert_untouched(server, before)


@BROKEN
async def test_one_value_in_a_gradient_is_its_senders_fault_and_nothing_is_applied(value):
    async with fake_server() as server:
        before = everything(server)
        gradient = torch.zeros(server.task.client_gradient_elements)
        gradient[-1] = value
        step = begin(server)
        await step.forward(ordinary(server))
        await step.backward(gradient)
        assert step.fault.clients.keys() == {"b"}
        assert "gradients" in step.fault.clients["b"]
        assert_untouched(server, before)


@pytest.mark.parametrize("compression", ["Float16", "BFloat16", "Int8"], ids=str)
async def test_a_value_that_is_no_number_is_found_behind_a_compression(compression):
    async with fake_server(tiny_spec(transport={"compression": compression})) as server:
        smashed = ordinary(server)
        smashed[4, 0] = nan
        step = begin(server)
        await step.forward(smashed)
        assert step.fault.clients.keys() == {"b"}


@pytest.mark.parametrize("value", [nan, inf, 3e38], ids=str)
async def test_one_value_in_float_labels_is_its_senders_fault(value):
    async with fake_server(tiny_spec(loss="MeanSquaredError")) as server:
        width = server.task.objective.label_width
        labels = torch.zeros((5, width))
        labels[0, 0] = value
        step = begin(server)
        step.runner.order_forward(
            [messages.OrderForward(EXCHANGE, 1, local_batch, 0) for local_batch in step.local_batches]
        )
        await settle()
        step._deliver("a", forward_answer(server, EXCHANGE, torch.zeros((3, width)).tolist()))
        step._deliver("b", forward_answer(server, EXCHANGE, labels.tolist()))
        step.runner.run_server_step(messages.RunServerStep(EXCHANGE, 1, step.local_batches))
        await settle()
        assert step.fault.clients.keys() == {"b"}
        assert "labels" in step.fault.clients["b"]


async def test_ordinary_numbers_are_no_fault():
    async with fake_server() as server:
        step = begin(server)
        await step.forward(ordinary(server))
        await step.backward(torch.ones(server.task.client_gradient_elements))
        assert server.events[-1] == messages.UpdateDone(EXCHANGE)
        assert len(server.records(StepRecord)) == 1


async def test_a_loss_that_overflows_by_itself_is_divergence():
    async with fake_server() as server:
        tensors = server.context.model.named_tensors()
        with torch.no_grad():
            next(tensor for name, tensor in reversed(tensors.items()) if "weight" in name).fill_(1e38)
        step = begin(server)
        await step.forward(1e3 * ordinary(server))
        assert step.fault.clients == {}
        assert "the loss of step 1 is" in step.fault.found


async def test_an_update_that_overflows_by_itself_is_divergence_and_no_record_of_the_step_is_written():
    spec = tiny_spec(optimizer={"learningRate": 1e38})
    async with fake_server(spec) as server:
        step = begin(server)
        await step.forward(ordinary(server))
        await step.backward(torch.full((server.task.client_gradient_elements,), 1e3))
        assert step.fault.clients == {}
        assert "is not finite after step 1" in step.fault.found
        assert server.records(StepRecord) == []


async def test_no_checkpoint_of_a_state_that_is_not_finite_is_written_and_the_older_ones_stay(tmp_path):
    async with fake_server(tiny_spec(optimizer={"name": "Adam"})) as server:
        model, store = server.context.model, CheckpointStore(tmp_path, keep=1)
        model.run(torch.ones((4, server.task.layout.features)), torch.zeros((4, 1), dtype=torch.int64), 1)
        model.apply([torch.full((server.task.client_gradient_elements,), 1.0)], 1)
        run_checkpoint.save(store, 1, model, {})
        state = model.state()
        name = next(name for name in state.optimizer if name.endswith("exp_avg_sq"))
        state.optimizer[name].fill_(inf)
        with pytest.raises(run_checkpoint.NonFiniteStateError, match=f"'optimizer.{name}' is not finite"):
            run_checkpoint.save(store, 2, model, {})
        assert store.load_latest().step == 1


async def test_a_value_that_is_no_number_in_an_evaluation_is_its_senders_fault_and_not_scored():
    async with fake_server() as server:
        session, exchange = server.connect("b"), ExchangeId(step=0, attempt=0)
        runner, (local_batch,) = EvaluationRunner(server.context, None, 8), local_batches(server, {"b": 5})
        runner.order_range(messages.OrderEvaluation(exchange, local_batch))
        await settle()
        smashed = ordinary(server)
        smashed[1, 1] = nan
        deliver(runner.receive, session, forward_answer(server, exchange, [0, 1, 2, 0, 1], smashed))
        runner.score_range(messages.ScoreEvaluation(exchange, "b"))
        await settle()
        event = server.events[-1]
        assert isinstance(event, messages.NumericFaultFound)
        assert (event.exchange, event.fault.clients.keys()) == (exchange, {"b"})
