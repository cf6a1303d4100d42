"""Computes trials, several at a time in processes of their own."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from threading import Thread
from typing import Final, ParamSpec, Protocol, TypeVar

from typing_extensions import override

from pslgs.comparison.run_trial import Progress, run_trial
from pslgs.comparison.store import TrialStore
from pslgs.comparison.trial import ComparisonOptions, Trial
from pslgs.process.signals import without_interrupts
from pslgs.spec.job import SplitTrainingJob

P = ParamSpec("P")
T = TypeVar("T")

_SECONDS_BETWEEN_SHOWS: Final = 0.2
_PRELOADED: Final = ("pslgs.comparison.run_trial", "sklearn.datasets", "torch._dynamo")


class Watcher(Protocol):
    """Follows the progress of a comparison; all methods are called in the thread that compares."""

    def begin(self, trials: Sequence[Trial], finished: Sequence[Trial]) -> None:
        """Receive all trials, and those of them that were finished before."""
        ...

    def show(self, trial: Trial, step: int, steps: int) -> None:
        """Receive how many steps a trial has made, of how many; 0 while that is unknown."""
        ...

    def finish(self, trial: Trial, seconds: float) -> None:
        """Receive that a trial is finished, and how many seconds it computed."""
        ...


class _Nobody(Watcher):
    """Ignores the progress."""

    @override
    def begin(self, trials: Sequence[Trial], finished: Sequence[Trial]) -> None:
        """Do nothing."""

    @override
    def show(self, trial: Trial, step: int, steps: int) -> None:
        """Do nothing."""

    @override
    def finish(self, trial: Trial, seconds: float) -> None:
        """Do nothing."""


NOBODY: Final[Watcher] = _Nobody()


class ComparisonError(RuntimeError):
    """Raised when the process of a trial ended before the trial did."""


@dataclass(frozen=True, slots=True)
class TrialRunner:
    """Computes the trials of one comparison and keeps their results.

    Attributes:
        job: The job that is simulated.
        options: How it is simulated.
        store: The folder of results.
    """

    job: SplitTrainingJob
    options: ComparisonOptions
    store: TrialStore

    def run(self, trial: Trial, progress: Progress) -> float:
        """Compute a trial, keep its result, and return the seconds that it computed.

        Raises:
            InputError: the job or its data cannot be used.
        """
        before = time.perf_counter()
        self.store.save(run_trial(self.job, trial, self.options, progress))
        return time.perf_counter() - before


def run_trials(runner: TrialRunner, trials: Sequence[Trial], *, jobs: int, watcher: Watcher) -> None:
    """Compute ``trials`` and keep their results, ``jobs`` at a time.

    With one at a time they are computed in this process, so that scripts and notebooks need no guard of their
    main module.

    Raises:
        InputError: the job or its data cannot be used.
        ComparisonError: a process ended unexpectedly, for instance because memory ran out.
    """
    if jobs == 1 or len(trials) == 1:
        for trial in trials:
            _finish(runner.store, watcher, trial, runner.run(trial, watcher.show))
        return
    with process_executors(min(jobs, len(trials))) as executors:
        run_with_executors(runner, trials, executors, watcher)


def run_with_executors(
    runner: TrialRunner, trials: Sequence[Trial], executors: Sequence[Executor], watcher: Watcher
) -> None:
    """Compute ``trials`` with executors that compute one trial at a time each.

    An executor per process shows which trial's process died.  An executor of many workers can be given
    several times, once per worker; its workers need the store's folder.

    Raises:
        InputError: the job or its data cannot be used.
        ComparisonError: a process ended unexpectedly.
    """
    waiting, idle = iter(trials), list(executors)
    running: dict[Future[float], tuple[Trial, Executor]] = {}
    while True:
        while idle and (trial := next(waiting, None)) is not None:
            executor = idle.pop()
            running[executor.submit(_run_in_worker, runner, trial)] = trial, executor
        if not running:
            return
        done, _ = wait(running, timeout=_SECONDS_BETWEEN_SHOWS, return_when=FIRST_COMPLETED)
        for trial, _ in running.values():
            if (made := runner.store.progress(trial)) is not None:
                watcher.show(trial, *made)
        for future in done:
            trial, executor = running.pop(future)
            _finish(runner.store, watcher, trial, _seconds(future, trial))
            idle.append(executor)


class ProcessExecutor(Executor):
    """Runs each call in a new process, which ends with the call."""

    @override
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a process for a call.

        A pool that replaced its process after each call could start one after the others were terminated,
        which nothing would end.
        """
        pool = ProcessPoolExecutor(1, mp_context=_context(), initializer=_prepare_worker)
        future = pool.submit(fn, *args, **kwargs)
        pool.shutdown(wait=False)  # once the call is finished
        return future


@contextmanager
def process_executors(number: int) -> Iterator[list[Executor]]:
    """Provide executors with a process for each call.

    If the block raises, Ctrl-C included, the processes are terminated.
    """
    others = multiprocessing.active_children()
    completed = False
    try:
        yield [ProcessExecutor() for _ in range(number)]
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


def _seconds(future: Future[float], trial: Trial) -> float:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise ComparisonError(
            f"the process of {trial.name} ended unexpectedly, for instance because memory ran out; run the "
            "same command again, perhaps with fewer --jobs"
        ) from error


def _finish(store: TrialStore, watcher: Watcher, trial: Trial, seconds: float) -> None:
    store.note_measured(trial, seconds)
    watcher.finish(trial, seconds)


def _run_in_worker(runner: TrialRunner, trial: Trial) -> float:
    """Compute a trial in a worker; its progress is read from the store."""
    noted = time.perf_counter()

    def note(_: Trial, step: int, steps: int) -> None:
        nonlocal noted
        if time.perf_counter() - noted > _SECONDS_BETWEEN_SHOWS:
            noted = time.perf_counter()
            runner.store.note_progress(trial, step, steps)

    try:
        return runner.run(trial, note)
    finally:
        runner.store.forget_progress(trial)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the process that compares, and exit when that process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
