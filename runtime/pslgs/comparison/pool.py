"""Computes the cells that are not finished, here or in processes of their own."""

import json
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import override

from pslgs.comparison.run_trial import Progress, run_trial
from pslgs.comparison.store import TrialStore
from pslgs.comparison.trial import ComparisonOptions, Trial
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.job import SplitTrainingJob

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess


class Watcher(Protocol):
    """Is told of everything, in one thread."""

    def begin(self, cells: Sequence[Trial], finished: Sequence[Trial]) -> None:
        """Take in all cells, and those that are finished already."""
        ...

    def show(self, cell: Trial, step: int, steps: int) -> None:
        """Take in the steps that a cell has made and those in all, 0 where that is not known yet."""
        ...

    def finish(self, cell: Trial, seconds: float) -> None:
        """Take in that a cell is finished, and how long it computed."""
        ...


class _Nobody(Watcher):
    """Takes no notice."""

    @override
    def begin(self, cells: Sequence[Trial], finished: Sequence[Trial]) -> None:
        """Do nothing."""

    @override
    def show(self, cell: Trial, step: int, steps: int) -> None:
        """Do nothing."""

    @override
    def finish(self, cell: Trial, seconds: float) -> None:
        """Do nothing."""


NOBODY: Final[Watcher] = _Nobody()


_SECONDS_BETWEEN_MESSAGES: Final = 0.2
_PRELOADED: Final = ("pslgs.comparison.run_trial", "sklearn.datasets", "torch._dynamo")
_context = multiprocessing.get_context("forkserver")


class ComparisonError(RuntimeError):
    """A cell's process ended before its cell."""


@dataclass(frozen=True, slots=True)
class TrialRunner:
    """What is done for each cell.

    Attributes:
        job: That is simulated.
        options: How.
        store: Where the outcome is kept.
    """

    job: SplitTrainingJob
    options: ComparisonOptions
    store: TrialStore

    def do(self, cell: Trial, progress: Progress) -> None:
        """Compute a cell and keep its outcome.

        Raises:
            InputError: the job or its data cannot be used.
        """
        self.store.save(run_trial(self.job, cell, self.options, progress))


def run_trials(work: TrialRunner, cells: Sequence[Trial], *, jobs: int, watcher: Watcher) -> None:
    """Compute ``cells`` and keep what they give, ``jobs`` at a time.

    One at a time is computed in this process, so that scripts and notebooks need no guard of their main
    module.

    Raises:
        InputError: the job or its data cannot be used.
        ComparisonError: a process was ended from outside, e.g. because memory was short.
    """
    if jobs == 1 or len(cells) == 1:
        for cell in cells:
            before = time.perf_counter()
            work.do(cell, watcher.show)
            _finish(cell, time.perf_counter() - before, work.store, watcher)
    else:
        _run_in_processes(work, cells, jobs, watcher)


def _finish(cell: Trial, seconds: float, store: TrialStore, watcher: Watcher) -> None:
    store.note_measured(cell, seconds)
    watcher.finish(cell, seconds)


def _run_in_processes(work: TrialRunner, cells: Sequence[Trial], jobs: int, watcher: Watcher) -> None:
    _context.set_forkserver_preload(list(_PRELOADED))
    waiting = iter(cells)
    running: dict[Connection, tuple[Trial, ForkServerProcess]] = {}
    with _ended(running):
        while True:
            while len(running) < jobs and (cell := next(waiting, None)) is not None:
                ours, process = _start(work, cell)
                running[ours] = cell, process
            if not running:
                return
            for connection in wait(list(running)):
                if isinstance(connection, Connection) and _listen(connection, running, work.store, watcher):
                    running.pop(connection)[1].join()


def _start(work: TrialRunner, cell: Trial) -> "tuple[Connection, ForkServerProcess]":
    ours, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_work_on, args=(theirs, work, cell), name=cell.name)
    process.start()
    theirs.close()
    return ours, process


def _listen(
    connection: Connection,
    running: "dict[Connection, tuple[Trial, ForkServerProcess]]",
    store: TrialStore,
    watcher: Watcher,
) -> bool:
    """Take in a message of a cell's process; tell whether it was its last."""
    cell, process = running[connection]
    try:
        message = json.loads(connection.recv_bytes())
    except EOFError:
        process.join()
        raise ComparisonError(
            f"the process of {cell.name} ended with exit code {process.exitcode}; run the same command again"
        ) from None
    match message:
        case {"violations": violations}:
            raise InputError(*(Violation(*each) for each in violations))
        case {"seconds": seconds}:
            _finish(cell, seconds, store, watcher)
            return True
        case {"step": step, "steps": steps}:
            watcher.show(cell, step, steps)
    return False


@contextmanager
def _ended(running: "dict[Connection, tuple[Trial, ForkServerProcess]]") -> Iterator[None]:
    """See to it that no process outlives the block."""
    try:
        yield
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _work_on(connection: Connection, work: TrialRunner, cell: Trial) -> None:
    """Compute a cell in a process of its own; Ctrl-C is for the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begun = time.perf_counter()
    told = begun

    def tell(_: Trial, step: int, steps: int) -> None:
        nonlocal told
        if time.perf_counter() - told > _SECONDS_BETWEEN_MESSAGES:
            told = time.perf_counter()
            _send(connection, {"step": step, "steps": steps})

    try:
        work.do(cell, tell)
    except InputError as error:
        _send(connection, {"violations": [[each.path, each.problem] for each in error.violations]})
    else:
        _send(connection, {"seconds": time.perf_counter() - begun})


def _send(connection: Connection, message: object) -> None:
    """Send to the process that started this one; should it be gone, nobody wants the cell any more."""
    try:
        connection.send_bytes(json.dumps(message).encode())
    except BrokenPipeError:
        raise SystemExit(1) from None
