"""Computes trials on this machine, each in a process of its own."""

from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from typing import Any, Final

from typing_extensions import override

from pslgs.comparison.pool import ComparisonError, ComputedTrial, TrialPool, TrialRunner
from pslgs.comparison.trial import Trial
from pslgs.data.slow_modules import slow_modules
from pslgs.process.forked_calls import call_in_process, fork_server, terminating_calls

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
        """Start a process for a trial."""
        context = fork_server("pslgs.comparison.run_trial", *slow_modules(runner.job.spec))
        counts = self._counts[trial] = context.RawArray("q", 2)
        return call_in_process(
            context, _run_in_process, runner, trial, prepare=_share_counts, inherited=(counts,)
        )

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
    with terminating_calls():
        yield ProcessPool(number)


def _share_counts(counts: Any) -> None:  # noqa: ANN401 - an array of C
    _shared_counts.append(counts)


def _run_in_process(runner: TrialRunner, trial: Trial) -> ComputedTrial:
    (counts,) = _shared_counts

    def note(_: Trial, step: int, steps: int) -> None:
        counts[:] = step, steps

    return runner.run(trial, note)
