"""The further processes of the server part: start, end, and why one of them ended."""

import asyncio
import atexit
import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
import torch.distributed as dist

from pslgs.spec.exit_codes import described_end
from pslgs.training.collectives import FIRST, TIMEOUT, Group, ProcessLostError
from pslgs.training.server_worker import Command, Failure, run_worker

_EXPLAINED_SECONDS: Final = 10.0
"""Seconds in which the end of a process is noticed, after another one could not reach it."""


@dataclass(frozen=True, slots=True)
class _Worker:
    rank: int
    device: str
    process: BaseProcess
    connection: Connection

    def __str__(self) -> str:
        return f"process {self.rank} of the server part, on {self.device},"

    def report(self) -> Failure | None:
        """Return why a process that has ended did so; None if it was killed."""
        try:
            while self.connection.poll():
                report = self.connection.recv()
                if isinstance(report, Failure):
                    return report
        except (EOFError, OSError):
            return None
        return None

    def error(self, report: Failure) -> Exception:
        """Return the error to raise here for a report."""
        return report.bad_input or ProcessLostError(f"{self} ended with {report.message}")


class WorkerProcesses:
    """Processes that compute the server part with this one, one for each device after the first.

    They hold no state: weights and rows are sent to them.  After an error they cannot be used any more.

    Attributes:
        device: Device of this process.
        size: Number of processes, this one included.
    """

    def __init__(
        self, devices: Sequence[torch.device], workers: Sequence[_Worker], folder: TemporaryDirectory[str]
    ) -> None:
        self.device = devices[FIRST]
        self.size = len(devices)
        self._workers = workers
        self._folder = folder
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._stopped = False
        self._joined = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Communicate with the processes in the block; whatever exception leaves it ends them.

        Raises:
            ProcessLostError: one of them has ended.
            InputError: one of them found an error of the input, and ended.
        """
        try:
            yield
        except (ProcessLostError, OSError, EOFError) as error:
            raise self.failure(str(error)) from error
        except Exception as error:
            self._failure = error  # of which the end of the others is only a consequence
            self.stop()
            raise
        if self._stopped:  # what was computed meanwhile may be incomplete
            raise self.failure("they were stopped")

    def join(self, group: Group) -> None:
        """Connect this process with the others, when all of them are about to do so.

        Raises:
            ProcessLostError: one of them does not start.
        """
        with self.together():
            for worker in self._workers:
                if not worker.connection.poll(TIMEOUT.total_seconds()):
                    raise ProcessLostError(f"{worker} does not start")
                answer = worker.connection.recv()
                if isinstance(answer, Failure):
                    self._failure = worker.error(answer)
                    raise ProcessLostError(answer.message)
            group.join()
            self._joined = True

    def command(self, command: Command) -> None:
        """Send a command to each process.

        Raises:
            OSError: one of them has ended.
        """
        for worker in self._workers:
            worker.connection.send(command)

    async def watch(self) -> None:
        """Wait for the end of one of the processes, which also may be hidden by a GPU that waits for it.

        Raises:
            ProcessLostError: one of them has ended.
            InputError: one of them found an error of the input, and ended.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        sentinels = [worker.process.sentinel for worker in self._workers]
        for sentinel in sentinels:
            loop.add_reader(sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            for sentinel in sentinels:
                loop.remove_reader(sentinel)
        raise await asyncio.to_thread(self.failure, "a process ended")

    def failure(self, symptom: str) -> Exception:
        """Return why a process has ended, and end the others; may be called from any thread.

        Args:
            symptom: What was noticed; the message if nothing else is found.
        """
        with self._lock:
            if self._failure is None:
                self._failure = self._cause(symptom)
            self.stop()
            return self._failure

    def _cause(self, symptom: str) -> Exception:
        """Find the process that ended first: those that miss it end as well."""
        deadline = time.monotonic() + _EXPLAINED_SECONDS
        running: dict[object, _Worker] = {each.process.sentinel: each for each in self._workers}
        while running and not self._stopped and (left := deadline - time.monotonic()) > 0:
            for sentinel in wait([each.process.sentinel for each in running.values()], left):
                worker = running.pop(sentinel)
                worker.process.join()
                report = worker.report()
                if report is None:
                    return ProcessLostError(f"{worker} {described_end(worker.process.exitcode)}")
                if not report.is_consequence:
                    return worker.error(report)
        return ProcessLostError(f"the processes of the server part lost touch: {symptom}")

    def stop(self) -> None:
        """End the processes at once, and what this one waits for; may be called from any thread."""
        self._stopped = True
        for worker in self._workers:
            worker.process.kill()
        if self.device.type == "cuda" and self._joined and dist.group.WORLD is not None:
            dist.group.WORLD.abort()  # a GPU waits for others without noticing that they have ended

    def close(self) -> None:
        """End the processes and forget them; called in the thread that started them."""
        self.stop()
        atexit.unregister(self.stop)
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        if self._joined:
            dist.destroy_process_group()
        self._folder.cleanup()


def start_workers(devices: Sequence[torch.device]) -> WorkerProcesses:
    """Start a process for each device but the first, and connect them with each other and this process.

    Args:
        devices: At least two; the first is that of this process.

    Raises:
        ProcessLostError: one of them does not start.
    """
    folder = TemporaryDirectory(prefix="pslgs-")
    store = Path(folder.name) / "store"
    first, *others = (Group(rank, len(devices), str(each), store) for rank, each in enumerate(devices))
    threads = max(1, torch.get_num_threads() // len(devices))
    workers = WorkerProcesses(devices, [_start(group, threads) for group in others], folder)
    atexit.register(workers.stop)  # multiprocessing would wait for them at the end of this process
    try:
        workers.join(first)
    except BaseException:
        workers.close()
        raise
    return workers


def _start(group: Group, threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")  # to fork a process with threads and a GPU is unsafe
    here, there = context.Pipe()
    process = context.Process(target=run_worker, args=(group, threads, there), daemon=True)
    process.start()
    there.close()  # so that the end of the process is the end of the connection
    return _Worker(group.rank, group.device, process, here)
