"""Starts the processes of a run and sees to it that none outlives it."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pslgs.spec import ExitCode

_LAST_WORDS = 20
_RETRY_SECONDS = 1.0
_FINAL = {
    ExitCode.FINISHED,
    ExitCode.BAD_INPUT,
    ExitCode.QUORUM_LOST,
    ExitCode.CLIENT_LOST,
    ExitCode.DEADLINE_EXCEEDED,
    ExitCode.REFUSED,
    ExitCode.INTERRUPTED,
}


class Child:
    """A process of this run, started with the same command as in a container.

    It is in a session of its own, so Ctrl-C reaches it only through us; and it holds one end of a pipe to
    us, so it stops by itself if we die.
    """

    def __init__(self, command: Sequence[str], log: Path, cores: int) -> None:
        self._command = [
            sys.executable,
            "-m",
            "pslgs.cli",
            *command,
            "--threads",
            str(cores),
            "--with-parent",
        ]
        self._log = log
        self._environment = _environment(cores)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; what it says goes to its log file."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    @property
    def process_id(self) -> int | None:
        """Its process id; None before it is started."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.returncode if self._process else None

    async def ended(self) -> int:
        """Wait for its end and return its exit code, negative for a signal.

        Raises:
            LookupError: it was not started.
        """
        if self._process is None:
            raise LookupError("the process was not started")
        return await self._process.wait()

    async def tend(self, restarts: int) -> int:
        """Start it again when it dies of something that need not happen again, up to ``restarts`` times."""
        await self.start()
        while (code := await self.ended()) not in _FINAL and restarts > 0:
            restarts -= 1
            await asyncio.sleep(_RETRY_SECONDS)
            await self.start()
        return code

    async def stop(self, seconds: float) -> None:
        """Ask it to stop, and end it if it has not after ``seconds``."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def last_words(self) -> list[str]:
        """Return the errors at the end of its log, or else its last lines."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_WORDS:]
        return [line for line in lines if line.startswith("error: ")] or lines


def _environment(cores: int) -> Mapping[str, str]:
    """Let threads that wait give their core away, since server and clients take turns on the same ones."""
    return os.environ | {"OMP_NUM_THREADS": str(cores), "OMP_WAIT_POLICY": "PASSIVE"}
