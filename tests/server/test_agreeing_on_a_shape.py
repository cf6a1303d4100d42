"""A server whose manifest does not say what samples look like learns it from most of its clients."""

import asyncio
import gc
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc
import pytest

from pslgs.process.termination_message import TerminationMessage
from pslgs.server.main import run_server
from pslgs.server.options import ServerOptions
from pslgs.spec import InputError, parse_job
from pslgs.spec.digest import job_digest
from pslgs.transport.client_connection import connect
from pslgs.transport.errors import Refused
from pslgs.transport.stream import Stream
from pslgs.transport.v1.training_pb2 import Hello

DEADLINE = 30.0
SHAPE = [4]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
async def collected():
    """Collect gRPC's servers, which errors keep alive, while their event loop still runs: they need it."""
    yield
    gc.collect()


def job(cut: str = "hidden1", shape: list[int] | None = None, **tolerance):
    model = {
        "architecture": "mlp",
        "options": {"inputs": 4, "hidden": [2, 5], "outputs": 3},
        "cutLayer": cut,
    }
    if shape is not None:
        model["inputShape"] = shape
    spec = {
        "model": model,
        "data": {"train": {"format": "NumPy", "path": "/nowhere"}},
        "epochs": 1,
        "transport": {"tls": "Disabled"},
        "faultTolerance": tolerance,
    }
    header = {"apiVersion": "pslgs.dev/v1alpha1", "kind": "SplitTrainingJob", "metadata": {"name": "shapes"}}
    return parse_job(header | {"spec": spec})


class Server:
    """A server in this process."""

    def __init__(self, job, folder, clients: int) -> None:
        self.digest = job_digest(job.spec)
        self._endpoints = folder / "run" / "endpoints.json"
        options = ServerOptions(
            "127.0.0.1:0", ("127.0.0.1", 0), None, folder / "run", folder / "cache", clients, device="cpu"
        )
        self.serving = asyncio.create_task(run_server(job, options, TerminationMessage()))

    async def address(self) -> str:
        while not self._endpoints.exists():
            assert not self.serving.done(), self.serving.result()
            await asyncio.sleep(0.01)
        return f"127.0.0.1:{json.loads(self._endpoints.read_text())['grpc']}"


@asynccontextmanager
async def serving(job, folder, clients: int) -> AsyncIterator[Server]:
    server = Server(job, folder, clients)
    async with asyncio.timeout(DEADLINE):
        yield server
    server.serving.cancel()
    with suppress(asyncio.CancelledError):
        await server.serving


@asynccontextmanager
async def client(server: Server, name: str, shape, digest: bytes | None = None) -> AsyncIterator[Stream]:
    hello = Hello(
        client_id=name,
        job_digest=server.digest if digest is None else digest,
        samples=3,
        label_counts=[1, 1, 1],
        input_shape=shape,
    )
    rng = random.Random(0)  # noqa: S311 - spreads attempts to connect, protects nothing
    async with connect(await server.address(), None, hello, timeout_seconds=DEADLINE, rng=rng) as connection:
        yield connection


@pytest.mark.slow
async def test_a_client_of_another_job_decides_nothing(tmp_path):
    async with serving(job(), tmp_path, clients=1) as server:
        async with client(server, "stranger", [63], digest=b"another") as stranger:
            with pytest.raises(Refused, match="manifest is of another job"):
                await stranger.receive()
        async with client(server, "a", SHAPE) as a:
            assert list((await a.receive()).header.welcome.input_shape) == SHAPE


@pytest.mark.slow
async def test_a_shape_that_most_clients_state_and_the_model_refuses_ends_the_job(tmp_path):
    server = Server(job(), tmp_path, clients=1)
    async with asyncio.timeout(DEADLINE), client(server, "a", [63]):
        with pytest.raises(InputError, match=r"samples have 63 values"):
            await server.serving


@pytest.mark.slow
async def test_a_shape_that_one_of_many_states_and_the_model_refuses_refuses_only_that_one(tmp_path):
    async with serving(job(clientTimeoutSeconds=1), tmp_path, clients=4) as server:
        async with client(server, "a", [63]) as a:
            with pytest.raises(Refused, match=r"samples have 63 values") as raised:
                await a.receive()
        assert raised.value.status is grpc.StatusCode.FAILED_PRECONDITION
        async with client(server, "b", SHAPE) as b:
            assert list((await b.receive()).header.welcome.input_shape) == SHAPE


@pytest.mark.slow
async def test_most_clients_prevail_over_one_that_came_first(tmp_path):
    async with (
        serving(job(), tmp_path, clients=4) as server,
        client(server, "stranger", [2, 2]) as stranger,
        client(server, "a", SHAPE) as a,
        client(server, "b", SHAPE) as b,
        client(server, "c", SHAPE) as c,
    ):
        for each in (a, b, c):
            assert (await each.receive()).header.HasField("welcome")
        with pytest.raises(Refused, match=r"have the shape \[2, 2\], the job's \[4\]"):
            await stranger.receive()


async def test_a_wrong_manifest_ends_the_job_before_any_client_comes(tmp_path):
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(InputError, match="nowhere"):
            await Server(job(cut="nowhere"), tmp_path, clients=1).serving
