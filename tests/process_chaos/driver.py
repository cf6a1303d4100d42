"""Runs a job to its end while faults happen to it, and checks what came out."""

import os
import signal
import subprocess
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from process_chaos import memory
from process_chaos.faults import OF_DISKS, PASSING, Fault, Kind
from process_chaos.processes import Run
from process_chaos.samples import last_step
from pslgs.spec import ExitCode
from pslgs.spec.result_files import CHECKPOINTS

_SIGNALS: Final = {
    Kind.CLIENT_KILLED: signal.SIGKILL,
    Kind.CLIENT_QUIT: signal.SIGQUIT,
    Kind.CLIENT_HUNG_UP: signal.SIGHUP,
    Kind.SERVER_KILLED: signal.SIGKILL,
    Kind.SERVER_QUIT: signal.SIGQUIT,
    Kind.SERVER_HUNG_UP: signal.SIGHUP,
    Kind.SERVER_TERMINATED: signal.SIGTERM,
    Kind.COMMAND_KILLED: signal.SIGKILL,
    Kind.COMMAND_QUIT: signal.SIGQUIT,
    Kind.COMMAND_TERMINATED: signal.SIGTERM,
    Kind.FORK_SERVER_KILLED: signal.SIGKILL,
}
_HOURS: Final = 11
"""Hours by which the clock is set ahead or back at most; between two faults that is within a day."""

_OF_ROLE: Final = {"SERVER": "server", "COMMAND": "command", "FORK": "fork server"}


def run_with_faults(
    run: Run, faults: Sequence[Fault], steps: int, tell: Callable[[str], None]
) -> Counter[Kind]:
    """Run a job, and resume it whenever a fault has ended it.

    Args:
        run: The run, not started.
        faults: The faults, in their order.
        steps: Number of steps of the whole job.
        tell: Called with a line for each fault.

    Returns:
        Number of faults of each kind that have happened.

    Raises:
        AssertionError: the run hangs, or ended otherwise than the last fault explains.
    """
    injected = Counter[Kind]()
    waiting, last = deque(faults), None
    try:
        run.start()
        while True:
            target = last_step(run.journal) + waiting[0].after if waiting else None
            run.wait_for_step(target, lambda: last_step(run.journal))
            if run.poll() == ExitCode.FINISHED:
                return injected
            if run.poll() is not None:
                if not _explained_end(run, injected, last, steps):
                    raise AssertionError(f"the run ended with {run.exit_code} by itself\n{run.words()}")
            elif waiting and inject(run, waiting[0]):
                last = waiting.popleft().kind
                injected[last] += 1
                tell(f"step {last_step(run.journal)}: {last}")
                if last in PASSING:
                    continue
            else:
                continue
            run.wait_until(lambda: run.poll() is not None, "the end of the run")
            run.wait_until(lambda: not run.pids(), "the end of all processes")
            run.start("--resume")
    finally:
        run.end_all()


def _explained_end(run: Run, injected: Counter[Kind], last: Kind | None, steps: int) -> bool:
    """Return whether faults explain that a run ended by itself."""
    if "gRPC has ceased to accept" in run.last_line("server"):
        return injected[Kind.MEMORY_WITHHELD] > 0 and run.exit_code == ExitCode.INTERNAL_ERROR
    return last in OF_DISKS and last_step(run.journal) == steps  # only the final model needs the disk


def inject(run: Run, fault: Fault) -> bool:
    """Let a fault happen; return whether it could, because all processes that it needs are there."""
    processes = run.processes()
    clients = [pid for name, pid in sorted(processes.items()) if name not in _OF_ROLE.values()]
    if not clients or not processes.keys() >= set(_OF_ROLE.values()):
        return False
    match fault.kind:
        case Kind.DISK_FULL | Kind.CHECKPOINTS_READ_ONLY | Kind.STOPPED | Kind.MEMORY_WITHHELD:
            with _lasting(
                run, fault.kind, _one([*clients, processes["server"], processes["command"]], fault)
            ):
                run.wait(fault.seconds)
        case Kind.CLIENT_OUT_OF_MEMORY | Kind.SERVER_OUT_OF_MEMORY:
            victim = processes["server"] if fault.kind is Kind.SERVER_OUT_OF_MEMORY else _one(clients, fault)
            with memory.used_up(victim):
                run.wait_until(lambda: victim not in run.pids(), "the end of a process without memory")
        case Kind.CLOCK_SET:
            run.set_clock(3600 * hours(fault))
        case Kind.TERMINAL_CLOSED:
            run.close_terminal()
        case Kind.COMMAND_INTERRUPTED:
            run.press_ctrl_c()
        case kind:
            name = _OF_ROLE.get(kind.name.partition("_")[0])
            os.kill(processes[name] if name else _one(clients, fault), _SIGNALS[kind])
    return True


def hours(fault: Fault) -> int:
    """Return how many hours the clock is ahead of the right time after a fault, or behind if negative."""
    return fault.victim % (2 * _HOURS + 1) - _HOURS


def _lasting(run: Run, kind: Kind, victim: int) -> AbstractContextManager[None]:
    match kind:
        case Kind.DISK_FULL:
            return full_disk(run.folder)
        case Kind.CHECKPOINTS_READ_ONLY:
            return read_only(run.folder / "run" / CHECKPOINTS)
        case Kind.MEMORY_WITHHELD:
            return memory.withheld(victim)
        case _:
            return stopped(victim)


def _one(victims: Sequence[int], fault: Fault) -> int:
    return victims[fault.victim % len(victims)]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Fill the file system of a folder to its last byte."""
    filler = folder / "filler"
    try:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, also for those who may write to everything; it must be of the test's own."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
