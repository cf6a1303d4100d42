"""Child processes of a run: started from a fork server, restarted, stopped, and their logs read."""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pslgs.process.forked_calls import fork_server
from pslgs.spec import ExitCode

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

Entry = Callable[[], None]
"""The command line's entry point: a function of a module that reads its arguments from ``sys.argv``."""

_RESTART_SECONDS: Final = 1.0
_WARNING: Final = " WARNING "
_ERROR: Final = "error: "
_TRACEBACK: Final = "Traceback (most recent call last):"
_TAIL_LINES: Final = 20
_NOT_RESTARTED: Final = {
    ExitCode.FINISHED,
    ExitCode.BAD_INPUT,
    ExitCode.QUORUM_LOST,
    ExitCode.CLIENT_LOST,
    ExitCode.DEADLINE_EXCEEDED,
    ExitCode.REFUSED,
    ExitCode.DIVERGED,
    ExitCode.NON_FINITE,
    ExitCode.HOSTILE_CLIENT,
    ExitCode.DROPPED,
    ExitCode.INTERRUPTED,
}
"""Exit codes after which a process would end in the same way again, or has nothing left to do."""

FORK_SERVER_ENDED: Final = 255
"""What multiprocessing gives as exit code of all processes when that from which they were forked has ended.

They still run, and stop when this process ends.
"""

_PRELOADED: Final = ("pslgs.client.main", "pslgs.server.main", "pslgs.launch.preflight")
_context = multiprocessing.get_context("forkserver")


def start_fork_server(entry: Entry, *modules: str) -> ForkServerContext:
    """Start the process from which child processes are forked, and import modules in it in advance.

    Args:
        entry: The entry point of the child processes.
        modules: Names of modules to import, in addition to those that all processes need.
    """
    # Server and clients take turns on the same cores, so waiting threads must not spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return fork_server(*_PRELOADED, entry.__module__, *modules)


class Child:
    """A server or client process, which runs the same command as a container.

    It has a session of its own, so that Ctrl-C does not reach it, and stops by itself when this process ends.
    Its output is appended to a log file.

    Attributes:
        command: Command and options.
    """

    def __init__(self, entry: Entry, command: Sequence[str], log: Path, cores: int) -> None:
        """Define a process, which `start` starts.

        Args:
            entry: Its entry point.
            command: Command and options, without ``--threads`` and ``--with-parent``.
            log: File for its output.
            cores: Number of cores that it computes with.
        """
        self._entry = entry
        self.command = (*command, "--threads", str(cores), "--with-parent")
        self._log = log
        self._log_offset = log.stat().st_size if log.exists() else 0
        self._process: ForkServerProcess | None = None
        self._ended: asyncio.Future[int] | None = None

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while the process runs."""
        return self._process.exitcode if self._process else None

    def start(self) -> None:
        """Start the process."""
        process = _context.Process(target=_run_command, args=(self._entry, self.command, str(self._log)))
        process.start()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int] = loop.create_future()

        def set_ended() -> None:
            loop.remove_reader(process.sentinel)
            process.join()
            ended.set_result(process.exitcode or 0)

        loop.add_reader(process.sentinel, set_ended)
        self._process, self._ended = process, ended

    async def ended(self) -> int:
        """Wait for the end of the process, and return its exit code, negative for a signal.

        Raises:
            LookupError: the process was not started.
        """
        if self._ended is None:
            raise LookupError("the process was not started")
        return await asyncio.shield(self._ended)

    async def run_with_restarts(self, restarts: int) -> int:
        """Run the process to its end, restart it up to ``restarts`` times, and return its last exit code.

        It is restarted only after exit codes that may be transient.
        """
        self.start()
        while (code := await self.ended()) not in {*_NOT_RESTARTED, FORK_SERVER_ENDED} and restarts > 0:
            restarts -= 1
            await asyncio.sleep(_RESTART_SECONDS)
            self.start()
        return code

    async def stop(self, grace_seconds: float, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the process if it runs, SIGKILL after ``grace_seconds``, and wait for its end."""
        if self._process is None or self._process.pid is None or self._process.exitcode is not None:
            return
        with suppress(ProcessLookupError):  # it is ending
            os.kill(self._process.pid, number)
        try:
            async with asyncio.timeout(grace_seconds):
                await self.ended()
        except TimeoutError:
            self._process.kill()
            await self.ended()

    def warnings(self) -> list[str]:
        """Return the warnings in the log of this run."""
        return [line.split(_WARNING, 1)[1] for line in self._log_lines() if _WARNING in line]

    def failure_messages(self) -> list[str]:
        """Return the errors in the log of this run, or else its warnings, or else its last lines."""
        return self.errors() or self.warnings() or self._log_lines()[-_TAIL_LINES:]

    def errors(self) -> list[str]:
        """Return the errors with which the process ended in this run; none if it did not end with one."""
        return [line for line in self._log_lines() if line.startswith(_ERROR)]

    def traceback(self) -> list[str]:
        """Return the lines of the traceback above the errors, which ``pslgs --debug`` prints; else none."""
        lines = self._log_lines()
        ends = [number for number, line in enumerate(lines) if line.startswith(_ERROR)]
        if not ends or _TRACEBACK not in lines[: ends[0]]:
            return []
        return lines[lines.index(_TRACEBACK) : ends[0]]

    def _log_lines(self) -> list[str]:
        with self._log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._log_offset)
            return log.read().splitlines()


def _run_command(entry: Entry, command: Sequence[str], log: str) -> None:
    """Run a command in the new process, in a new session and with its output appended to ``log``."""
    os.setsid()
    # The fork server ignores SIGINT, and Python's own handler would print a traceback of what is imported.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    sys.argv = ["pslgs", *command]
    entry()
