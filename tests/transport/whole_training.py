"""A job's server and clients, as their processes run them, in one event loop and over real gRPC."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from exactness.small_job import CLIENTS, job_spec
from pslgs.client import main as client_process
from pslgs.client.main import ClientOptions, run_client
from pslgs.process.termination_message import TerminationMessage
from pslgs.server import main as server_process
from pslgs.server.options import ServerOptions
from pslgs.spec import ExitCode, JobSpec, SplitTrainingJob, parse_job
from pslgs.telemetry.journal import read
from pslgs.telemetry.records import Record, StepRecord
from pslgs.training.client_step import ClientStep
from pslgs.training.torch_thread import TorchThread
from server.fakes import tiny_document
from transport.loopback import DEADLINE

LOST = CLIENTS[1]


@dataclass
class Training:
    """A finished training."""

    spec: JobSpec
    tensors: dict[str, Tensor]
    records: list[Record]

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def batches(self) -> list[tuple[int, dict[str, tuple[int, int]]]]:
        """Epoch and local batches of each committed step."""
        return [(step.epoch, dict(step.allocation)) for step in self.of(StepRecord)]


@dataclass
class Loss:
    """Ends the process of one client in the midst of a call of its client part.

    Attributes:
        method: The method of `ClientStep` whose call the client does not survive.
        calls: Number of such calls of the client that it survives.
        end: Asks the client to stop.
        ended: Is set when it has.
    """

    method: str
    calls: int
    end: Callable[[], object] = field(default=lambda: None)
    ended: threading.Event = field(default_factory=threading.Event)

    def arrange(self, patch: pytest.MonkeyPatch) -> None:
        loop, original = asyncio.get_running_loop(), getattr(ClientStep, self.method)
        begun = ClientStep.__init__
        members: set[int] = set()

        def note(step: ClientStep, task: Any, part: Any, client_id: str) -> None:
            begun(step, task, part, client_id)
            if client_id == LOST:
                members.add(id(step))

        def call(step: ClientStep, *given: Any) -> Any:
            if id(step) in members:
                self.calls -= 1
                if self.calls == -1:
                    loop.call_soon_threadsafe(self.end)
                    assert self.ended.wait(DEADLINE)  # nobody sees the result
            return original(step, *given)

        patch.setattr(TorchThread, "compute", TorchThread.run)  # the event loop ends the client meanwhile
        patch.setattr(ClientStep, "__init__", note)
        patch.setattr(ClientStep, self.method, call)


class SharedTorchThread(TorchThread):
    """The torch thread of all participants, since torch.fx and torch's seed are those of the process."""

    def close(self) -> None:
        """Leave it open for the others."""


@contextmanager
def stop_of(
    names: Iterator[str], stops: dict[str, asyncio.Future[str]], **_: Any
) -> Iterator[asyncio.Future[str]]:
    """Provide the future that stops the next client, in the place of `pslgs.process.signals.stop_reason`."""
    name = next(names)
    stops[name] = asyncio.get_running_loop().create_future()
    yield stops[name]


def job_of(spec: JobSpec) -> SplitTrainingJob:
    """Return a job of that specification."""
    return parse_job(tiny_document()).model_copy(update={"spec": spec})


async def train_over_grpc(folder: Path, lost: Loss | None = None, **spec: Any) -> Training:
    """Train the small job to its end, see `train_job_over_grpc`."""
    return await train_job_over_grpc(folder, job_spec(**spec), lost)


async def train_job_over_grpc(folder: Path, spec: JobSpec, lost: Loss | None = None) -> Training:
    """Train a job of the three clients to its end, from the last checkpoint in the folder if there is one.

    All clients but a lost one must end well.
    """
    job, run, cache = job_of(spec), folder / "run", folder / "cache"
    loopback = "127.0.0.1", 0
    options = ServerOptions("127.0.0.1:0", loopback, None, run, cache, len(CLIENTS), device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        thread, ports, stops = arrange(patch)
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            server = tasks.create_task(server_process.run_server(job, options, TerminationMessage()))
            address = f"127.0.0.1:{(await ports)['grpc']}"
            clients = {
                name: tasks.create_task(
                    run_client(job.spec, ClientOptions(name, address, None, cache, 1, partition_index=i))
                )
                for i, name in enumerate(CLIENTS)
            }
            if lost is not None:
                lost.end = lambda: stops[LOST].set_result("lost")
                clients[LOST].add_done_callback(lambda _: lost.ended.set())
                lost.arrange(patch)
        TorchThread.close(thread)
    codes = {name: client.result().exit_code for name, client in clients.items()}
    ends = {LOST: ExitCode.INTERRUPTED} if lost is not None else {}
    assert codes == dict.fromkeys(CLIENTS, ExitCode.FINISHED) | ends
    assert server.result().exit_code is ExitCode.FINISHED, server.result()
    return Training(job.spec, load_file(run / "model.safetensors"), read(run / "metrics.jsonl"))


def arrange(
    patch: pytest.MonkeyPatch,
) -> tuple[SharedTorchThread, asyncio.Future[dict[str, int]], dict[str, asyncio.Future[str]]]:
    """Give all participants one torch thread; return it, the server's ports, and what stops each client."""
    thread, stops = SharedTorchThread(), dict[str, asyncio.Future[str]]()
    for module in (client_process, server_process):
        patch.setattr(module, "TorchThread", lambda: thread)
    opening = client_process._open_data
    patch.setattr(client_process, "_open_data", lambda *given: thread.submit(opening, *given).result())
    patch.setattr(client_process, "stop_reason", partial(stop_of, iter(CLIENTS), stops))
    ports: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
    patch.setattr(server_process, "_write_endpoints", lambda _, found: ports.set_result(found))
    return thread, ports, stops
