"""The processes of a job in one event loop and in virtual time, without threads, sockets and HTTP."""

import asyncio
import random
import shutil
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest

from pslgs.client import main as client_process
from pslgs.client.loading import LoadingThreads
from pslgs.client.main import ClientOptions, run_client
from pslgs.process.termination_message import ExitStatus, TerminationMessage
from pslgs.server import main as server_process
from pslgs.server import recorder, schedule_drawer, training_server
from pslgs.server.options import ServerOptions
from pslgs.spec import JobSpec
from pslgs.spec.exit_codes import ExitCode
from pslgs.training.torch_thread import TorchThread
from pslgs.transport.grpc_server import GrpcServer
from transport.whole_training import job_of
from virtual_processes.loop import PROCESS, VirtualLoop, context_of
from virtual_processes.network import SERVER, Channel, Network, Server

TORCH_SECONDS = 0.02
"""Mean seconds of a call in a torch thread."""


class VirtualTorchThread(TorchThread):
    """Runs calls one after another in the event loop, each after the time that it takes."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._free_at = 0.0
        self._closed = False

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            if self._closed or not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - as an executor does
                future.set_exception(error)

        seconds = TORCH_SECONDS * self._rng.uniform(0.2, 1.8)
        self._free_at = max(self._free_at, self._loop.time()) + seconds
        self._loop.call_at(self._free_at, work)
        return future

    async def compute(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await self.run(call, *args, **kwargs)

    def close(self) -> None:
        self._closed = True


class InlineExecutor(Executor):
    """Runs calls where they are submitted."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


class NoHttp:
    """An HTTP server that nobody asks."""

    def __init__(self, *_: object) -> None:
        """Take what the real one takes."""

    def start(self) -> int:
        return 8080

    def stop(self) -> None:
        """Do nothing."""


@dataclass
class Process:
    """A process of the job.

    Attributes:
        name: Name of the client; ``server`` for the server.
        task: Runs it.
        torch: Its torch thread.
        stop: Asks it to stop, when resolved.
        killed: Whether it is being killed, or was.
        gone: Set when nothing of it is left after it was killed.
    """

    name: str
    task: asyncio.Task[ExitStatus]
    torch: VirtualTorchThread
    stop: asyncio.Future[str]
    killed: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def kill(self) -> None:
        """End it where it stands: none of its tasks goes on."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.killed = True
        self.torch.close()
        while tasks := loop.tasks_of(self.name):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.001)


@dataclass
class Job:
    """A job's processes.

    Attributes:
        spec: What is trained.
        folder: For the run folder and the caches.
        network: Connects the processes.
        starts: How often the server was started.
    """

    spec: JobSpec
    folder: Path
    clients: tuple[str, ...]
    rng: random.Random
    network: Network
    processes: dict[str, Process] = field(default_factory=dict)
    starts: int = 0

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Let processes use the virtual network, threads and time."""
        loop = asyncio.get_running_loop()
        clock = SimpleNamespace(monotonic=loop.time, time=lambda: 1e9 + loop.time())

        async def draw(call: Callable[[], Any]) -> Any:
            await asyncio.sleep(TORCH_SECONDS * self.rng.uniform(0.2, 1.8))
            return call()

        async def no_connections(_: GrpcServer) -> None:
            """The operating system has none of the virtual network."""

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(GrpcServer, "watch_connections", no_connections)
            patch.setattr(grpc.aio, "server", lambda **_: Server(self.network))
            patch.setattr(grpc.aio, "insecure_channel", lambda *_, **__: Channel(self.network))
            for module in (client_process, server_process):
                patch.setattr(module, "TorchThread", lambda: self._mine().torch)
                patch.setattr(module, "HttpServer", NoHttp)
                patch.setattr(module, "stop_reason", self._stop_reason)
                patch.setattr(module, "time", clock)
            patch.setattr(client_process, "LoadingThreads", lambda _: LoadingThreads(1, InlineExecutor()))
            patch.setattr(server_process, "_write_endpoints", lambda *_: None)
            for server_module in (training_server, recorder):
                patch.setattr(server_module, "time", clock)
            patch.setattr(schedule_drawer, "in_daemon_thread", draw)
            yield

    def start_server(self) -> Process:
        """Start the server, which continues from the run folder."""
        options = ServerOptions(
            "virtual:7443",
            ("virtual", 0),
            None,
            self.run,
            self.folder / "cache",
            len(self.clients),
            device="cpu",
        )
        self.starts += 1
        return self._start(
            SERVER, lambda: server_process.run_server(job_of(self.spec), options, TerminationMessage())
        )

    def start_client(self, name: str) -> Process:
        """Start a client."""
        options = ClientOptions(
            name,
            "virtual:7443",
            None,
            self.folder / "cache",
            1,
            partition_index=self.clients.index(name),
            reconnect_after_interruption=True,
        )
        return self._start(name, lambda: run_client(self.spec, options))

    async def crash_server(self) -> None:
        """Kill the server's process: its streams break, and its folder stays as it is at this moment."""
        self.network.cut()
        kept = self.folder / "kept"
        shutil.copytree(self.run, kept, symlinks=True)
        await self.processes[SERVER].kill()
        shutil.rmtree(self.run)
        kept.rename(self.run)
        self.processes[SERVER].gone.set()

    async def kill_client(self, name: str) -> None:
        """Kill a client's process."""
        if link := self.network.links.get(name):
            link.break_()
        await self.processes[name].kill()

    def _start(self, name: str, main: Callable[[], Coroutine[Any, Any, ExitStatus]]) -> Process:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main(), context=context_of(name))
        self.processes[name] = Process(name, task, VirtualTorchThread(self.rng), loop.create_future())
        return self.processes[name]

    def _mine(self) -> Process:
        return self.processes[PROCESS.get()]

    @contextmanager
    def _stop_reason(self, **_: object) -> Iterator[asyncio.Future[str]]:
        yield self._mine().stop


def finished(process: Process) -> bool:
    """Return whether a process has trained its job to the end."""
    return process.task.done() and process.task.result().exit_code is ExitCode.FINISHED
