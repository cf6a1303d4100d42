"""Computes one cell."""

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

Progress = Callable[[Trial, int, int], None]
"""Takes a cell, the steps that it has made, and those in all (0 where that is not known yet)."""


def run_trial(
    job: SplitTrainingJob, cell: Trial, options: ComparisonOptions, progress: Progress
) -> TrialResult:
    """Simulate a job with a cell's strategy and seed.

    Raises:
        InputError: the job or its data cannot be used.
    """

    def watch(record: Record, steps: int) -> None:
        if isinstance(record, StepRecord):
            progress(cell, record.step, steps)

    simulated = options.simulation
    if cell.delay_weight is not None:
        simulated = replace(simulated, schedule_only=True)
    with computing_on(simulated.threads.server):
        result = simulate(
            _with_delay_weight(job, cell.delay_weight),
            strategy=cell.strategy,
            seed=cell.seed,
            watch=watch,
            options=simulated,
        )
    return trial_result(cell, result, _modelled_seconds(result, options))


def _modelled_seconds(result: SimulationResult, options: ComparisonOptions) -> NDArray[np.float64]:
    """Return each step's; pooled data are computed by the server alone, at the speed of its part."""
    if STRATEGIES[result.strategy].pools_data and options.simulation.profile is not None:
        return result.steps.batch_size / options.simulation.server_samples_per_second
    return result.steps.modelled_seconds


def _with_delay_weight(job: SplitTrainingJob, delay_weight: float | None) -> SplitTrainingJob:
    """Return the job with another δ; an epoch is enough to see what that does."""
    if delay_weight is None:
        return job
    document = job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    path = "spec.sampling.latentDirichlet.delayWeight"
    return parse_job(with_overrides(document, [f"{path}={delay_weight}", "spec.epochs=1"]))


@contextmanager
def computing_on(threads: int | None) -> Iterator[None]:
    """Have torch use so many cores, and give the same result each time."""
    cores, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(cores)
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
