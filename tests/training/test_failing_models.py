"""A user's model that raises in training or evaluation: a sentence at spec.model, whichever part it is."""

import pytest
import torch
from torch import Tensor, nn

from pslgs.data.client_dataset import Batch
from pslgs.simulation.federated import FederatedTraining
from pslgs.spec import InputError
from pslgs.spec.entrypoints import user_code
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.client_step import ClientStep
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.model_code import forward_pass
from pslgs.training.setup import build_setup
from server.fakes import INPUTS, tiny_spec

CPU = torch.device("cpu")


class Moody(nn.Module):
    """Fails once ``reason`` is set, in the forward or the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""

    def forward(self, x: Tensor) -> Tensor:
        if self.reason == "forward":
            raise KeyError("no such table")
        if self.reason == "shape":
            return nn.functional.linear(x, torch.zeros(2, x.shape[1] + 1))
        return _Moody.apply(x, self.reason)


class _Moody(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, reason: str) -> Tensor:
        ctx.reason = reason
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        if ctx.reason == "backward":
            raise KeyError("no gradient")
        return gradient, None


class Parts:
    """A network whose parts end and begin with such a module."""

    def __init__(self) -> None:
        self.task, network = build_setup(tiny_spec(), (INPUTS,))
        self.client, self.server = Moody(), Moody()
        self.network = SplitNetwork(
            nn.Sequential(network.client_part, self.client),
            nn.Sequential(self.server, network.server_part),
            network.names,
        )
        self.model = LocalServerModel(self.task, self.network, CPU)
        self.step = ClientStep(self.task, self.network.client_part, "a")
        self.inputs, self.labels = torch.zeros(3, INPUTS), torch.zeros(3, 1, dtype=torch.int64)
        self.smashed = torch.zeros(3, self.task.layout.features)

    def train_client(self) -> None:
        self.step.begin(1, 0)
        self.step.forward(self.inputs)
        self.step.backward(self.smashed)

    def evaluate_client(self) -> None:
        self.step.evaluate(self.inputs)

    def smash(self) -> None:
        self.model.smash(self.inputs)

    def train_server(self) -> None:
        self.model.run(self.smashed, self.labels, 1)

    def score(self) -> None:
        self.model.score(self.smashed, self.labels)


@pytest.mark.parametrize(
    ("part", "work"),
    [
        pytest.param("client", Parts.train_client, id="client-trains"),
        pytest.param("client", Parts.evaluate_client, id="client-evaluates"),
        pytest.param("client", Parts.smash, id="server-smashes"),
        pytest.param("server", Parts.train_server, id="server-trains"),
        pytest.param("server", Parts.score, id="server-scores"),
    ],
)
@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        pytest.param(
            "forward", r"KeyError: 'no such table' \(test_failing_models.py, line \d+\)", id="any-exception"
        ),
        pytest.param("shape", "RuntimeError: .*mat1 and mat2 shapes cannot be multiplied", id="shapes"),
    ],
)
def test_a_forward_pass_that_fails_names_its_part_and_inputs(part, work, reason, cause):
    parts = Parts()
    work(parts)
    getattr(parts, part).reason = reason
    inputs = parts.inputs if part == "client" else parts.smashed
    shape = rf"\[3, {inputs.shape[1]}\] \(float32\)"
    with pytest.raises(
        InputError,
        match=rf"^spec\.model: has a {part} part that fails on inputs of shape {shape} with {cause}",
    ):
        work(parts)


@pytest.mark.parametrize(
    ("part", "work"),
    [
        pytest.param("client", Parts.train_client, id="client"),
        pytest.param("server", Parts.train_server, id="server"),
    ],
)
def test_a_backward_pass_that_fails_names_its_part(part, work):
    parts = Parts()
    getattr(parts, part).reason = "backward"
    problem = rf"^spec\.model: has a {part} part whose backward pass fails with KeyError: 'no gradient'"
    with pytest.raises(InputError, match=problem):
        work(parts)


def test_a_baseline_of_whole_networks_says_the_same():
    class Data:
        samples = 3
        labels = torch.zeros(3, dtype=torch.int64).numpy()

        def batch(self, _epoch: int, _offset: int, count: int) -> Batch:
            return Batch(torch.zeros(count, INPUTS), torch.zeros(count, dtype=torch.int64))

    parts = Parts()
    training = FederatedTraining(parts.task, parts.network, {"a": Data()}, 3)
    parts.server.reason = "forward"
    with pytest.raises(
        InputError, match=r"^spec\.model: has a network that fails on inputs of shape \[3, 4\]"
    ):
        training._local_epoch("a", Data(), 1)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(torch.OutOfMemoryError("CUDA out of memory"), id="full-gpu"),
        pytest.param(torch.AcceleratorError("CUDA error: ECC"), id="broken-gpu"),
        pytest.param(RuntimeError("CUDA error: unspecified launch failure"), id="broken-gpu-of-old"),
        pytest.param(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), id="full-memory"),
    ],
)
def test_an_error_of_the_machine_is_not_the_users(error):
    with pytest.raises(type(error)) as raised, forward_pass("client part", ()):
        raise error
    assert raised.value is error
    with pytest.raises(InputError), user_code("spec.model"):
        raise RuntimeError("CUDA is mentioned")
