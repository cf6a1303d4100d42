"""Starts the processes of a run and sees to it that none outlives it."""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pslgs.spec import DataFormat, ExitCode, JobSpec

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_LAST_WORDS = 20
_RETRY_SECONDS = 1.0
_WARNING = " WARNING "
_FINAL: Final = {
    ExitCode.FINISHED,
    ExitCode.BAD_INPUT,
    ExitCode.QUORUM_LOST,
    ExitCode.CLIENT_LOST,
    ExitCode.DEADLINE_EXCEEDED,
    ExitCode.REFUSED,
    ExitCode.DIVERGED,
    ExitCode.NON_FINITE,
    ExitCode.DROPPED,
    ExitCode.INTERRUPTED,
}
_PRELOADED: Final = ("pslgs.client.main", "pslgs.server.main", "torch._dynamo")
_context = multiprocessing.get_context("forkserver")

Entry = Callable[[], None]
"""The command line's entry point: a function of a module that reads its arguments from ``sys.argv``."""


def warm_up(entry: Entry, *modules: str) -> None:
    """Start the process from which all others are forked; it imports what they need once for all of them.

    Importing torch takes seconds, so a run of many clients starts many times faster than with new
    interpreters, and the clients share the memory of what is imported.

    Args:
        entry: The entry point of the processes.
        modules: Further modules to import.
    """
    # Server and clients take turns on the same cores: a thread that waits gives its core away.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _context.set_forkserver_preload([*_PRELOADED, entry.__module__, *modules])
    forkserver.ensure_running()


def needed_modules(spec: JobSpec) -> list[str]:
    """Name the modules that the processes of a job will import, and that take long."""
    formats = {source.format for source in (spec.data.train, spec.data.evaluation) if source}
    wanted = {
        "torchvision": spec.data.transforms or spec.model.architecture not in {"mlp", "cnn"},
        "pslgs.data.scikit_learn": DataFormat.SCIKIT_LEARN in formats,
        "pslgs.data.parquet": DataFormat.PARQUET in formats,
    }
    return [name for name, needed in wanted.items() if needed]


class Child:
    """A process of this run; it enters through the same command as one in a container.

    It is in a session of its own, so Ctrl-C reaches it only through us; and it stops by itself if we die.
    """

    def __init__(self, entry: Entry, command: Sequence[str], log: Path, cores: int) -> None:
        self._entry = entry
        self._command = (*command, "--threads", str(cores), "--with-parent")
        self._log = log
        self._said_before = log.stat().st_size if log.exists() else 0
        self._process: ForkServerProcess | None = None
        self._ended: asyncio.Future[int] | None = None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode if self._process else None

    def start(self) -> None:
        """Start it; what it says goes to its log file."""
        process = _context.Process(target=_enter, args=(self._entry, self._command, str(self._log)))
        process.start()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int] = loop.create_future()

        def note_end() -> None:
            loop.remove_reader(process.sentinel)
            process.join()
            ended.set_result(process.exitcode or 0)

        loop.add_reader(process.sentinel, note_end)
        self._process, self._ended = process, ended

    async def ended(self) -> int:
        """Wait for its end and return its exit code, negative for a signal.

        Raises:
            LookupError: it was not started.
        """
        if self._ended is None:
            raise LookupError("the process was not started")
        return await asyncio.shield(self._ended)

    async def tend(self, restarts: int) -> int:
        """Start it again when it dies of something that need not happen again, up to ``restarts`` times."""
        self.start()
        while (code := await self.ended()) not in _FINAL and restarts > 0:
            restarts -= 1
            await asyncio.sleep(_RETRY_SECONDS)
            self.start()
        return code

    async def stop(self, seconds: float) -> None:
        """Ask it to stop, and end it if it has not after ``seconds``."""
        if self._process is None or self._process.exitcode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self.ended()
        except TimeoutError:
            self._process.kill()
            await self.ended()

    def warnings(self) -> list[str]:
        """Return what it has warned of since it was started."""
        return [line.split(_WARNING, 1)[1] for line in self._lines() if _WARNING in line]

    def last_words(self) -> list[str]:
        """Return what is wrong as far as its log says so, or else the log's last lines."""
        errors = [line for line in self._lines() if line.startswith("error: ")]
        return errors or self.warnings() or self._lines()[-_LAST_WORDS:]

    def _lines(self) -> list[str]:
        with self._log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._said_before)
            return log.read().splitlines()


def _enter(entry: Entry, command: Sequence[str], log: str) -> None:
    """Run a command in the new process, as a shell would have started it."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    sys.argv = ["pslgs", *command]
    entry()
