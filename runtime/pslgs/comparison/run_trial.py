"""Simulates one trial."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from pslgs.comparison.trial import ComparisonOptions, Trial, TrialResult, trial_result
from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.api import simulate
from pslgs.simulation.result import SimulationResult
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.manifest import parse_job, with_overrides
from pslgs.telemetry.records import Record, StepRecord
from pslgs.training.torch_thread import select_deterministic_algorithms

Progress = Callable[[Trial, int, int], None]
"""Called with a trial, the steps that it has made, and their number in all, 0 while that is unknown."""


def run_trial(
    job: SplitTrainingJob, trial: Trial, options: ComparisonOptions, progress: Progress
) -> TrialResult:
    """Simulate a job with the strategy and seed of a trial.

    Raises:
        InputError: the job or its data cannot be used.
    """

    def watch(record: Record, steps: int) -> None:
        if isinstance(record, StepRecord):
            progress(trial, record.step, steps)

    simulated = options.simulation
    if trial.delay_weight is not None:
        simulated = replace(simulated, schedule_only=True)
    with computing_on(simulated.threads.server):
        result = simulate(
            _with_delay_weight(job, trial.delay_weight),
            strategy=trial.strategy,
            seed=trial.seed,
            watch=watch,
            options=simulated,
        )
    return trial_result(trial, result, _modelled_seconds(result, options))


def _modelled_seconds(result: SimulationResult, options: ComparisonOptions) -> NDArray[np.float64]:
    """Return the seconds of each step; with pooled data, the server computes alone at its own speed."""
    if STRATEGIES[result.strategy].pools_data and options.simulation.profile is not None:
        return result.steps.batch_size / options.simulation.server_samples_per_second
    return result.steps.modelled_seconds


def _with_delay_weight(job: SplitTrainingJob, delay_weight: float | None) -> SplitTrainingJob:
    """Return the job with another δ and a single epoch, which is enough to see its effect."""
    if delay_weight is None:
        return job
    document = job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    path = "spec.sampling.latentDirichlet.delayWeight"
    return parse_job(with_overrides(document, [f"{path}={delay_weight}", "spec.epochs=1"]))


@contextmanager
def computing_on(threads: int | None) -> Iterator[None]:
    """Set torch to ``threads`` cores, None for as many as it is set to, and to deterministic algorithms."""
    cores, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined] # no types there
    if threads is not None:
        torch.set_num_threads(threads)
    select_deterministic_algorithms()
    try:
        yield
    finally:
        torch.set_num_threads(cores)
        torch.set_deterministic_debug_mode(mode)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined] # no types there
