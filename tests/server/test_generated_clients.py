"""A client made of nothing but what protoc generates from training.proto takes part in a training."""

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import grpc.aio
import grpc_tools
import numpy as np
import pytest
from grpc_tools import protoc
from safetensors.numpy import load_file

from pslgs.process.termination_message import TerminationMessage
from pslgs.server.main import run_server
from pslgs.server.options import ServerOptions
from pslgs.spec import ExitCode, parse_job
from pslgs.spec.digest import job_digest

ROOT = Path(__file__).parents[2]
PROTO = "pslgs/transport/v1/training.proto"
RATE = 0.5
SAMPLES, INPUTS = 8, 4
INPUT = np.random.default_rng(0).normal(size=(SAMPLES, INPUTS)).astype(np.float32)
LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2], dtype=np.int64)
DEADLINE = 30.0


@pytest.fixture(scope="session")
def stubs(tmp_path_factory) -> ModuleType:
    """Generate the service's stubs as anybody would; the messages are the generated ones that we have."""
    out = tmp_path_factory.mktemp("generated")
    includes = Path(grpc_tools.__file__).with_name("_proto")
    arguments = (f"-I{ROOT / 'runtime'}", f"-I{includes}", f"--grpc_python_out={out}", PROTO)
    assert protoc.main(["protoc", *arguments]) == 0
    spec = importlib.util.spec_from_file_location(
        "generated_stubs", out / PROTO.replace(".proto", "_pb2_grpc.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def job():
    model = {
        "architecture": "mlp",
        "options": {"inputs": INPUTS, "hidden": [2, 5], "outputs": 3},
        "cutLayer": "hidden1",
    }
    spec = {
        "model": model,
        "data": {"train": {"format": "NumPy", "path": "/nowhere"}},
        "epochs": 1,
        "optimizer": {"name": "SGD", "learningRate": RATE},
        "sampling": {"globalBatchSize": SAMPLES},
        "transport": {"tls": "Disabled"},
    }
    return parse_job(
        {
            "apiVersion": "pslgs.dev/v1alpha1",
            "kind": "SplitTrainingJob",
            "metadata": {"name": "foreign"},
            "spec": spec,
        }
    )


class ForeignClient:
    """Speaks the protocol with messages that protobuf itself encodes, and computes with numpy."""

    def __init__(self, stubs: ModuleType, channel: grpc.aio.Channel) -> None:
        self.messages = stubs.pslgs_dot_transport_dot_v1_dot_training__pb2
        self._call = stubs.TrainingStub(channel).Session()
        self._frames = self._read()

    async def send(self, *headers_and_payloads) -> None:
        """Send frames in one message."""
        frames = [
            self.messages.Frame(header=header, payload=payload) for header, payload in headers_and_payloads
        ]
        await self._call.write(self.messages.Frames(frame=frames))

    async def receive(self, body: str):
        """Wait for the next frame, which must have this body."""
        frame = await anext(self._frames)
        assert frame.header.WhichOneof("body") == body, frame.header
        return getattr(frame.header, body), frame.payload

    async def receive_tensor(self, kind: str, elements: int) -> np.ndarray:
        data = b""
        while len(data) < 4 * elements:
            tensor, chunk = await self.receive("tensor")
            assert tensor.kind == self.messages.Tensor.Kind.Value(kind)
            assert tensor.offset == len(data)
            data += chunk
        return np.frombuffer(data, dtype="<f4")

    def tensor(self, order, kind: str, data: np.ndarray, samples: int = 0):
        """Make the frame of a tensor that fits one chunk."""
        number = self.messages.Tensor.Kind.Value(kind)
        tensor = self.messages.Tensor(kind=number, step=order.step, attempt=order.attempt, samples=samples)
        return self.messages.Header(tensor=tensor), data.tobytes()

    async def _read(self) -> AsyncIterator:
        while (message := await self._call.read()) is not grpc.aio.EOF:
            for frame in message.frame:
                yield frame


async def take_part(client: ForeignClient, digest: bytes) -> tuple[int, np.ndarray, np.ndarray]:
    """Take part in the one step of the job; return the exit code and the client part's expected weights."""
    messages = client.messages
    hello = messages.Hello(
        protocol=2,
        client_id="foreign",
        job_digest=digest,
        samples=SAMPLES,
        label_counts=np.bincount(LABELS),
        input_shape=[INPUTS],
    )
    await client.send((messages.Header(hello=hello), b""))
    welcome, _ = await client.receive("welcome")
    assert list(welcome.input_shape) == [INPUTS]

    order, _ = await client.receive("forward")
    assert (order.step, order.attempt, order.epoch, order.offset, order.samples) == (1, 1, 1, 0, SAMPLES)
    parameters = await client.receive_tensor("PARAMETERS", 2 * INPUTS + 2)
    weight, bias = parameters[: 2 * INPUTS].reshape(2, INPUTS), parameters[2 * INPUTS :]
    before_relu = INPUT @ weight.T + bias
    smashed = np.maximum(before_relu, 0).astype("<f4")
    await client.send(
        client.tensor(order, "LABELS", LABELS.astype("<i8")),
        client.tensor(order, "SMASHED_DATA", smashed, samples=SAMPLES),
    )

    cut_gradient = (await client.receive_tensor("CUT_GRADIENT", smashed.size)).reshape(smashed.shape)
    assert np.any(cut_gradient)
    gradient = cut_gradient * (before_relu > 0)
    weight_gradient, bias_gradient = gradient.T @ INPUT, gradient.sum(axis=0)
    vector = np.concatenate([weight_gradient.ravel(), bias_gradient]).astype("<f4")
    await client.send(client.tensor(order, "CLIENT_GRADIENT", vector))
    finish, _ = await client.receive("finish")
    return finish.exit_code, weight - RATE * weight_gradient, bias - RATE * bias_gradient


async def port_of(run: Path, serving: asyncio.Task) -> int:
    """Wait until the server listens."""
    while not (run / "endpoints.json").exists():
        assert not serving.done(), serving.result()
        await asyncio.sleep(0.01)
    return json.loads((run / "endpoints.json").read_text())["grpc"]


@pytest.mark.timeout(120)
async def test_generated_stubs_are_enough_to_train(stubs, job, tmp_path):
    run = tmp_path / "run"
    options = ServerOptions("127.0.0.1:0", ("127.0.0.1", 0), None, run, tmp_path / "cache", 1, device="cpu")
    serving = asyncio.create_task(run_server(job, options, TerminationMessage()))
    async with asyncio.timeout(DEADLINE):
        address = f"127.0.0.1:{await port_of(run, serving)}"
        async with grpc.aio.insecure_channel(address) as channel:
            client = ForeignClient(stubs, channel)
            exit_code, weight, bias = await take_part(client, job_digest(job.spec))
        ending = await serving
    assert exit_code == ending.exit_code == ExitCode.FINISHED
    model = load_file(run / "model.safetensors")
    trained = {name.rpartition(".")[2]: tensor for name, tensor in model.items() if "hidden1" in name}
    np.testing.assert_allclose(trained["weight"], weight, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(trained["bias"], bias, rtol=1e-5, atol=1e-7)
