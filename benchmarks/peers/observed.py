"""What a run of several processes takes: their memory, and the traffic and CPU time of the machine meanwhile.

The processes of a run, however they were started, have a variable of their environment in common (Linux).
"""

import os
import signal
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from benchmarks.processes import busy_seconds

LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")
_UNREADABLE = (FileNotFoundError, PermissionError, ProcessLookupError)
MEMORY_EVERY = 2.0
"""Seconds between two looks at the memory, which hold up a process for milliseconds."""


class Marked:
    """The processes whose environment has a mark, which they inherit from those that were started with it."""

    def __init__(self) -> None:
        self.environ = {"PEERS_RUN": uuid.uuid4().hex}
        self._mark = f"PEERS_RUN={self.environ['PEERS_RUN']}".encode()

    def commands(self) -> dict[int, str]:
        """Return the command line of each process."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes()
                    found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace")
            except _UNREADABLE:
                continue
        return found

    def memory(self) -> tuple[int, int]:
        """Return the bytes in memory, shared pages counted once, and the number of processes."""
        sizes = []
        for process in self.commands():
            try:
                rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
            except _UNREADABLE:
                continue
            sizes += [int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")]
        return sum(sizes), len(sizes)

    def end(self) -> None:
        """Ask all processes to end; kill those that have not after ten seconds."""
        deadline = time.monotonic() + 10
        number = signal.SIGTERM
        while left := self.commands():
            for process in left:
                kill(process, number)
            if time.monotonic() > deadline:
                number = signal.SIGKILL
            time.sleep(0.5)


def kill(process: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process, unless it has ended."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


class Rates(NamedTuple):
    """What the machine did in an interval.

    Attributes:
        traffic: Bytes over the loopback interface, with all headers.
        cpu_seconds: CPU seconds of all cores.
    """

    traffic: float
    cpu_seconds: float


class Recorder:
    """Looks at counters of the machine and at the memory of a run, in a thread."""

    def __init__(self, marked: Marked) -> None:
        self._marked = marked
        self._samples: list[tuple[float, float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._record)
        self.memory, self.processes = 0, 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> Rates:
        """Return what the machine did between two Unix times."""
        times, traffic, busy = np.array(self._samples).T
        return Rates(*(float(np.diff(np.interp([begin, end], times, each))[0]) for each in (traffic, busy)))

    def _record(self) -> None:
        due = 0.0
        while not self._ended.wait(0.1):
            now = time.time()
            self._samples.append((now, int(LOOPBACK.read_text(encoding="ascii")), busy_seconds()))
            if now >= due:
                memory, processes = self._marked.memory()
                self.memory, self.processes = max(self.memory, memory), max(self.processes, processes)
                due = now + MEMORY_EVERY
