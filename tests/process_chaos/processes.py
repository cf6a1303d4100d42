"""A `pslgs run` on a terminal of its own, and its processes."""

import fcntl
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from process_chaos.wall_clock import WallClock

TESTS = Path(__file__).parent.parent
LIMIT_SECONDS = 300.0
"""Time after which a run that makes no step, or does not end, counts as hanging."""

_POLL_SECONDS = 0.05


class HangingError(AssertionError):
    """A run does not do what it has to."""


def _take_terminal() -> None:
    """Make standard input the terminal of the new session, whose closing ends its processes."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # SIGQUIT would fill the disk
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)  # a shell in the background and nohup let them be ignored


class Run:
    """The processes of a run in a folder, ``folder/run``; `start` may be called again after their end.

    Attributes:
        exit_code: Exit code of the command; None while it runs.
        journal: The record of its steps.
    """

    def __init__(self, folder: Path, clock: WallClock | None = None) -> None:
        """Prepare a run; without a clock of its own it has that of the system, which cannot be set."""
        self.folder = folder
        self._clock = clock
        self.exit_code: int | None = None
        self.journal = folder / "run" / "metrics.jsonl"
        self._command: subprocess.Popen[bytes] | None = None
        self._terminal = -1
        self._log = folder.with_suffix(".terminal")

    def start(self, *arguments: str) -> None:
        """Start the command in a new session whose terminal is a new one."""
        self.close_terminal()
        clock = self._clock.environment if self._clock else {}
        self._terminal, terminal = pty.openpty()
        os.set_blocking(self._terminal, False)
        self._command = subprocess.Popen(
            [sys.executable, "-m", "pslgs.cli", "run", "job.yaml", "--output", "run", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(TESTS)} | clock,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - this process has no other threads
        )
        os.close(terminal)
        self.exit_code = None

    def poll(self) -> int | None:
        """Read what the command wrote, and return its exit code; None while it runs."""
        self._read_terminal()
        if self._command is not None:
            self.exit_code = self._command.poll()
        return self.exit_code

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds; what the command writes is read meanwhile.

        Raises:
            HangingError: it does not hold for too long.
        """
        deadline = time.monotonic() + LIMIT_SECONDS
        while not condition():
            self.poll()
            if time.monotonic() > deadline:
                raise HangingError(
                    f"{what} took more than {LIMIT_SECONDS:.0f} s: {self.processes()}\n{self.words()}"
                )
            time.sleep(_POLL_SECONDS)

    def wait(self, seconds: float) -> None:
        """Wait for a time; what the command writes is read meanwhile."""
        end = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() > end, "a while")

    def wait_for_step(self, target: int | None, step: Callable[[], int]) -> None:
        """Wait until ``step`` returns the target, or without one until it is a further one, or the end."""
        begun = step()
        goal = begun + 1 if target is None else target
        self.wait_until(lambda: self.poll() is not None or step() >= goal, "the next steps")

    def words(self) -> str:
        """Return the last lines of the terminal and of each log, for a failure's message."""
        files = [self._log, *sorted((self.folder / "run" / "logs").glob("*.log"))]
        return "\n".join(
            f"--- {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in files if file.exists()
        )

    def last_line(self, process: str) -> str:
        """Return the last line of a process's log; empty if there is none."""
        log = self.folder / "run" / "logs" / f"{process}.log"
        return (log.read_text(errors="replace").splitlines() or [""])[-1] if log.exists() else ""

    def processes(self) -> dict[str, int]:
        """Return the ids of the processes: ``server``, each client, ``command`` and ``fork server``."""
        found: dict[str, int] = {}
        logs = self.folder / "run" / "logs"
        for pid in self.pids():
            with suppress(OSError):
                output = Path(os.readlink(f"/proc/{pid}/fd/1"))
                if output.parent == logs:
                    found[output.stem] = pid
        if self._command is not None and self._command.poll() is None:
            found["command"] = self._command.pid
        with suppress(OSError, IndexError):
            parent = int(Path(f"/proc/{found.get('server')}/stat").read_text().rpartition(")")[2].split()[1])
            if parent in self.pids() and parent != found.get("command"):
                found["fork server"] = parent
        return found

    def pids(self) -> list[int]:
        """Return the ids of all processes of this run that have not ended."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if Path(os.readlink(entry / "cwd")) == self.folder:
                        found.append(int(entry.name))
        return found

    def set_clock(self, seconds: int) -> None:
        """Let the wall clock be so many seconds ahead of the right time, or behind it."""
        if self._clock is not None:
            self._clock.set(seconds)

    def press_ctrl_c(self) -> None:
        """Type Ctrl-C at the terminal."""
        os.write(self._terminal, b"\x03")

    def close_terminal(self) -> None:
        """Close the terminal, as closing its window does."""
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def end_all(self) -> None:
        """End what is left of the run."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._command is not None:
            self._command.wait()
        self.close_terminal()

    def _read_terminal(self) -> None:
        if self._terminal < 0:
            return
        with suppress(OSError), self._log.open("ab") as log:
            while text := os.read(self._terminal, 1 << 16):
                log.write(text)
