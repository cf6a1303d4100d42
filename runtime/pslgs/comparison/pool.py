"""Computes trials, in this process or in a pool of others, and keeps their results."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, Protocol

from typing_extensions import override

from pslgs.comparison.run_trial import Progress, run_trial
from pslgs.comparison.store import TrialStore
from pslgs.comparison.trial import ComparisonOptions, Trial, TrialResult
from pslgs.spec.job import SplitTrainingJob

_SECONDS_BETWEEN_SHOWS: Final = 0.2


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
    """Raised when the process that computed a trial is lost, and the trial with it."""


class ComputedTrial(NamedTuple):
    """A result, and how many seconds it was computed."""

    result: TrialResult
    seconds: float


@dataclass(frozen=True, slots=True)
class TrialRunner:
    """Computes the trials of one comparison.

    Attributes:
        job: The job that is simulated.
        options: How it is simulated.
    """

    job: SplitTrainingJob
    options: ComparisonOptions

    def run(self, trial: Trial, progress: Progress) -> ComputedTrial:
        """Compute a trial.

        Raises:
            InputError: the job or its data cannot be used.
        """
        before = time.perf_counter()
        result = run_trial(self.job, trial, self.options, progress)
        return ComputedTrial(result, time.perf_counter() - before)


class TrialPool(Protocol):
    """Other processes that compute trials.

    Attributes:
        at_a_time: Number of trials that may be submitted at a time.
    """

    at_a_time: int

    def submit(self, runner: TrialRunner, trial: Trial) -> Future[ComputedTrial]:
        """Begin to compute a trial as soon as a process is free."""
        ...

    def progress(self, trial: Trial) -> tuple[int, int] | None:
        """Return steps made and steps in all of a trial, 0 while that is unknown; None before its first."""
        ...

    def result(self, trial: Trial, future: Future[ComputedTrial]) -> ComputedTrial:
        """Return the result of a trial that has ended.

        Raises:
            InputError: the job, its data or the pool cannot be used.
            ComparisonError: its process was lost.
        """
        ...


def run_trials(
    runner: TrialRunner, store: TrialStore, trials: Sequence[Trial], pool: TrialPool | None, watcher: Watcher
) -> None:
    """Compute ``trials`` and keep their results.

    Only this process writes to the folder.  Without a pool, trials are computed in this process, so that
    scripts and notebooks need no guard of their main module.

    Raises:
        InputError: the job or its data cannot be used.
        ComparisonError: a process was lost, for instance because memory ran out.
    """
    computed: Iterator[ComputedTrial]
    if pool is None:
        computed = (runner.run(trial, watcher.show) for trial in trials)
    else:
        computed = _computed(runner, trials, pool, watcher)
    for result, seconds in computed:
        store.save(result)
        store.note_measured(result.trial, seconds)
        watcher.finish(result.trial, seconds)


def _computed(
    runner: TrialRunner, trials: Sequence[Trial], pool: TrialPool, watcher: Watcher
) -> Iterator[ComputedTrial]:
    """Compute trials in a pool, and yield each when it is finished."""
    waiting = iter(trials)
    running: dict[Future[ComputedTrial], Trial] = {}
    while True:
        for trial in islice(waiting, pool.at_a_time - len(running)):
            running[pool.submit(runner, trial)] = trial
        if not running:
            return
        done, _ = wait(running, timeout=_SECONDS_BETWEEN_SHOWS, return_when=FIRST_COMPLETED)
        for trial in running.values():
            if (made := pool.progress(trial)) is not None:
                watcher.show(trial, *made)
        for future in sorted(done, key=_has_failed):  # what is finished is kept, whatever failed beside it
            yield pool.result(running.pop(future), future)


def _has_failed(future: Future[ComputedTrial]) -> bool:
    return future.cancelled() or future.exception() is not None
