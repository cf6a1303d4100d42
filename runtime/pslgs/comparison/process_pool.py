"""Computes trials on this machine, each in a process of its own."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from threading import Thread
from typing import Any, Final

from typing_extensions import override

from pslgs.comparison.pool import ComparisonError, ComputedTrial, TrialPool, TrialRunner
from pslgs.comparison.trial import Trial
from pslgs.process.signals import without_interrupts

_PRELOADED: Final = ("pslgs.comparison.run_trial", "sklearn.datasets", "torch._dynamo")
_shared_counts: Final[list[Any]] = []
"""In the process of a trial: the shared memory that tells steps made, and steps in all."""


class ProcessPool(TrialPool):
    """Computes each trial in a new process, which ends with the trial."""

    def __init__(self, number: int) -> None:
        """Create it for a number of processes at a time."""
        self.at_a_time = number
        self._counts: dict[Trial, Any] = {}

    @override
    def submit(self, runner: TrialRunner, trial: Trial) -> Future[ComputedTrial]:
        """Start a process for a trial.

        A pool that replaced its process after each trial could start one after the others were terminated,
        which nothing would end.
        """
        context = _context()
        counts = self._counts[trial] = context.RawArray("q", 2)
        executor = ProcessPoolExecutor(
            1, mp_context=context, initializer=_prepare_process, initargs=(counts,)
        )
        future = executor.submit(_run_in_process, runner, trial)
        executor.shutdown(wait=False)  # once the trial is finished
        return future

    @override
    def progress(self, trial: Trial) -> tuple[int, int] | None:
        """Read the numbers of steps from the memory that is shared with the trial's process."""
        step, steps = self._counts[trial]
        return (step, steps) if step else None

    @override
    def result(self, trial: Trial, future: Future[ComputedTrial]) -> ComputedTrial:
        """Return the result of a trial whose process has ended."""
        try:
            return future.result()
        except BrokenExecutor as error:
            raise ComparisonError(
                f"the process of {trial.name} ended unexpectedly, for instance because memory ran out; run "
                "the same command again, perhaps with fewer --jobs"
            ) from error


@contextmanager
def process_pool(number: int) -> Iterator[ProcessPool]:
    """Provide a pool of processes.

    If the block raises, Ctrl-C included, the processes are terminated.
    """
    others = multiprocessing.active_children()
    completed = False
    try:
        yield ProcessPool(number)
        completed = True
    finally:
        if not completed:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.terminate()
                    process.join()


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    with without_interrupts():
        forkserver.ensure_running()
    return context


def _run_in_process(runner: TrialRunner, trial: Trial) -> ComputedTrial:
    (counts,) = _shared_counts

    def note(_: Trial, step: int, steps: int) -> None:
        counts[:] = step, steps

    return runner.run(trial, note)


def _prepare_process(counts: Any) -> None:  # noqa: ANN401 - an array of C
    """Leave Ctrl-C to the process that compares, and exit when that process is gone."""
    _shared_counts.append(counts)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
