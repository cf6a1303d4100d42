"""A bare grpc.aio program that does the work of a step and nothing else: the floor of `pslgs run`.

A server and a process for each client exchange the tensors of split learning over mutual TLS and compute
with them, in one thread each.  Nobody joins late or leaves; nothing is checked, recorded or kept.
"""

import asyncio
import multiprocessing
import tempfile
import time
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio
import torch
from benchmarks.processes import busy_seconds
from benchmarks.wire import bare_channel, make_identities
from torch import Tensor, nn

from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import open_all_training_data
from pslgs.identity.identity import Identity
from pslgs.spec import load_job
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.optimizer import build_optimizer
from pslgs.training.setup import TrainingSetup, build_setup
from pslgs.training.torch_thread import configure_torch

LABEL_BYTES = 8


class BareJob(NamedTuple):
    """What is trained.

    Attributes:
        manifest: Path of the manifest.
        clients: Number of clients, all of them active.
        samples: Samples of each client in a step.
        warm_up: Number of steps that are not measured.
        steps: Number of steps that follow and are.
    """

    manifest: Path
    clients: int
    samples: int
    warm_up: int
    steps: int

    def build(self, client: int = 0) -> tuple[TrainingSetup, SplitNetwork, ClientDataset]:
        """Return the definition of the training, the network, and the data of a client."""
        configure_torch(1)
        spec = load_job(self.manifest).spec
        names = [f"client-{number}" for number in range(self.clients)]
        with tempfile.TemporaryDirectory() as cache:
            data = open_all_training_data(spec.data, names, seed=spec.sampling.seed, cache=Path(cache))
        task, network = build_setup(spec, data[client].input_shape)
        return task, network, data[client]


class Measured(NamedTuple):
    """What the steps after the warm-up took.

    Attributes:
        seconds: Seconds of each step.
        cpu_seconds: CPU seconds of all steps together, of the whole machine.
    """

    seconds: list[float]
    cpu_seconds: float


def run(job: BareJob) -> Measured:
    """Run the program once."""
    context = multiprocessing.get_context("spawn")
    server_identity, client_identity = make_identities()
    pipe, other = context.Pipe()
    processes = [context.Process(target=_serve, args=(job, server_identity, other))]
    processes[0].start()
    port = pipe.recv()
    for client in range(job.clients):
        arguments = (job, client, port, client_identity)
        processes.append(context.Process(target=_take_part, args=arguments))
        processes[-1].start()
    measured: Measured = pipe.recv()
    for process in processes:
        process.join()
    return measured


def _serve(job: BareJob, identity: Identity, pipe: Pipe) -> None:
    asyncio.run(_Server(job).run(identity, pipe))


class _Server:
    def __init__(self, job: BareJob) -> None:
        self.job = job
        task, network, _ = job.build()
        self.client_parameters = [*network.client_part.parameters()]
        self.server_part = network.server_part.train()
        self.optimizer = build_optimizer(
            task.optimizer, [*self.client_parameters, *self.server_part.parameters()]
        )
        self.streams: list[Any] = []
        self.complete, self.finished = asyncio.Event(), asyncio.Event()

    async def run(self, identity: Identity, pipe: Pipe) -> None:
        server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(self.attend)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", {"Attend": handler}),))
        pair = (identity.private_key_pem, identity.certificate_pem)
        credentials = grpc.ssl_server_credentials([pair], identity.ca_pem, require_client_auth=True)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        pipe.send(port)
        await self.complete.wait()
        for _ in range(self.job.warm_up):
            await self.step()
        times, busy = [time.perf_counter()], busy_seconds()
        for _ in range(self.job.steps):
            await self.step()
            times.append(time.perf_counter())
        seconds = [later - earlier for earlier, later in pairwise(times)]
        pipe.send(Measured(seconds, busy_seconds() - busy))
        self.finished.set()
        await server.stop(1.0)

    async def attend(self, _requests: object, stream: Any) -> None:  # noqa: ANN401 - grpc.aio has no types
        self.streams.append(stream)
        if len(self.streams) == self.job.clients:
            self.complete.set()
        await self.finished.wait()

    async def step(self) -> None:
        parameters = _to_bytes(nn.utils.parameters_to_vector(self.client_parameters))
        answers = await asyncio.gather(*(_exchange(stream, parameters) for stream in self.streams))
        border = self.job.samples * LABEL_BYTES
        labels = torch.cat([_to_tensor(answer[:border], torch.int64) for answer in answers])
        smashed = torch.cat([_to_tensor(answer[border:]) for answer in answers]).view(len(labels), -1)
        smashed.requires_grad_()
        self.optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(self.server_part(smashed), labels)
        torch.autograd.backward(loss)
        rows = torch.split(_gradient(smashed), self.job.samples)
        answers = await asyncio.gather(*map(_exchange, self.streams, map(_to_bytes, rows)))
        total = torch.stack([_to_tensor(answer) for answer in answers]).sum(dim=0)
        pieces = torch.split(total, [parameter.numel() for parameter in self.client_parameters])
        for parameter, piece in zip(self.client_parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)
        self.optimizer.step()


def _take_part(job: BareJob, client: int, port: int, identity: Identity) -> None:
    asyncio.run(_train_client_part(job, client, port, identity))


async def _train_client_part(job: BareJob, client: int, port: int, identity: Identity) -> None:
    _, network, data = job.build(client)
    part = network.client_part.train()
    parameters = [*part.parameters()]
    steps_per_epoch = data.samples // job.samples
    async with bare_channel(port, identity) as channel:
        stream = channel.stream_stream("/bare/Attend")()
        for step in range(job.warm_up + job.steps):
            epoch, position = divmod(step, steps_per_epoch)
            batch = data.batch(epoch, position * job.samples, job.samples)
            with torch.no_grad():
                nn.utils.vector_to_parameters(_to_tensor(await stream.read()), parameters)
            part.zero_grad()
            smashed = part(batch.inputs)
            answer = await _exchange(stream, _to_bytes(batch.labels) + _to_bytes(smashed))
            smashed.backward(_to_tensor(answer).view_as(smashed))
            gradients = nn.utils.parameters_to_vector(map(_gradient, parameters))
            await stream.write(_to_bytes(gradients))
        await stream.read()


async def _exchange(stream: Any, message: bytes) -> bytes:  # noqa: ANN401
    await stream.write(message)
    answer: bytes = await stream.read()
    return answer


def _to_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _to_tensor(message: bytes, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.frombuffer(bytearray(message), dtype=dtype)


def _gradient(tensor: Tensor) -> Tensor:
    if tensor.grad is None:
        raise ValueError("the loss does not depend on it")
    return tensor.grad
