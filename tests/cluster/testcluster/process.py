"""Commands that end, and processes that stay and are found again by a later invocation."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_POLL_SECONDS = 0.1
_reserving: list[socket.socket] = []


class ClusterError(Exception):
    """Something a person can act on; its text is all they need."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it was started; another one with the same id has another start time."""

    pid: int
    started: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of one instance, written down in its state folder."""

    state: Path

    def start(self, name: str, command: Sequence[str | Path]) -> int:
        """Start a process that outlives this one; its output is appended to the log of its name."""
        words = tuple(str(word) for word in command)
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        pid = _spawn(words, log)
        self._remember({**self._remembered(), name: Process(pid, start_time(pid), words)})
        return pid

    def start_again(self, name: str) -> int:
        """Start a process that was stopped, with the command that it had.

        Raises:
            ClusterError: it still runs, or none of this name was ever started.
        """
        if self.running(name) is not None:
            raise ClusterError(f"{name} still runs; stop it first")
        return self.start(name, self._known(name).command)

    def running(self, name: str) -> int | None:
        """The process id of ``name``, if it still runs."""
        process = self._remembered().get(name)
        return process.pid if process and start_time(process.pid) == process.started else None

    def names(self) -> list[str]:
        """Every process that was ever started, the newest last."""
        return list(self._remembered())

    def stop(self, name: str, with_signal: signal.Signals = signal.SIGTERM, patience: float = 10) -> None:
        """End a process, by force when it does not go by itself.

        Raises:
            ClusterError: none of this name was ever started, or it outlives SIGKILL.
        """
        self._known(name)
        if (pid := self.running(name)) is None:
            return
        os.kill(pid, with_signal)
        try:
            wait_until(lambda: self.running(name) is None, f"{name} to end", patience)
        except ClusterError:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: self.running(name) is None, f"{name} to end after SIGKILL", patience)
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # a zombie, if it was this process that started it

    def last_words(self, name: str, lines: int = 15) -> str:
        """Return whether a process still runs, and the last that it wrote."""
        state = "ended" if self.running(name) is None else "runs"
        written = self._log(name).read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"{name} {state}; its log ends with", *written])

    def _log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def _known(self, name: str) -> Process:
        try:
            return self._remembered()[name]
        except KeyError:
            raise ClusterError(f"no process {name!r}; there are: {', '.join(self.names())}") from None

    def _remembered(self) -> dict[str, Process]:
        file = self.state / "processes.json"
        written = json.loads(file.read_text()) if file.exists() else {}
        return {
            name: Process(known["pid"], known["started"], tuple(known["command"]))
            for name, known in written.items()
        }

    def _remember(self, processes: dict[str, Process]) -> None:
        file = self.state / "processes.json"
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({name: asdict(process) for name, process in processes.items()}))
        fresh.replace(file)


def run(*command: str | Path, stdin: str | None = None, check: bool = True) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        ClusterError: it failed and ``check`` is set.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise ClusterError(f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def say(what: str) -> None:
    """Tell whoever waits what takes so long."""
    print(f"testcluster: {what}", file=sys.stderr, flush=True)


def wait_until(holds: Callable[[], object], what: str, seconds: float) -> None:
    """Poll until ``holds()`` is true.

    Raises:
        ClusterError: it still is not after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {seconds:.0f} s for {what}")
        time.sleep(_POLL_SECONDS)


def _spawn(words: tuple[str, ...], log: Path) -> int:
    """Start a session of its own (``subprocess`` would warn of a child that nobody waits for)."""
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    try:
        return os.posix_spawnp(words[0], words, os.environ, file_actions=actions, setsid=True)
    except FileNotFoundError:
        raise ClusterError(f"{words[0]} is missing; `make cluster` installs it") from None


def start_time(pid: int) -> str:
    """Tell a process from a later one with the same id; empty when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def free_port() -> int:
    """Return a port on which nobody listens, and that is given to nobody else while this process runs.

    As long as a socket is bound to it, the kernel picks it neither for a port that may be any nor for the
    near end of a connection.  Servers can bind to it all the same, for that socket does not listen
    (``SO_REUSEADDR`` on both, which servers set).
    """
    reserving = socket.socket()
    reserving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserving.bind(("127.0.0.1", 0))
    _reserving.append(reserving)
    return int(reserving.getsockname()[1])
