"""Measures what a step of a simulation costs, before hours of them are begun."""

import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final, NamedTuple

import torch

from pslgs.comparison.run_trial import computing_on
from pslgs.data.loading import open_evaluation_data
from pslgs.simulation.api import simulate
from pslgs.simulation.setup import SimulationOptions
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.training import SamplingStrategy
from pslgs.telemetry.records import Record, StepRecord
from pslgs.training.device import choose_device

WARM_STEPS: Final = 2
"""Steps that are not counted: the first ones allocate memory and choose algorithms."""
MEASURED_STEPS: Final = 5
FORWARD_PART: Final = 1 / 3
"""Share of the forward in the time of a sample's training: the backward takes about twice as long."""


class StepCost(NamedTuple):
    """What a step was measured to cost.

    Attributes:
        seconds: Mean seconds of a step.
        evaluation_seconds: Expected seconds of an evaluation, which only computes the forward.
        peak_bytes: Highest memory so far: allocated by torch on a GPU, otherwise of the whole process.
    """

    seconds: float
    evaluation_seconds: float
    peak_bytes: int


class _EnoughStepsError(Exception):
    """Ends a simulation whose steps are only measured."""


def measure_step(job: SplitTrainingJob, options: SimulationOptions) -> StepCost:
    """Train with a few global batches of the job.

    Raises:
        InputError: the job or its data cannot be used.
    """
    device = choose_device(options.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ends = [time.perf_counter()]

    def watch(record: Record, _: int) -> None:
        if isinstance(record, StepRecord):
            ends.append(time.perf_counter())
            if len(ends) > WARM_STEPS + MEASURED_STEPS:
                raise _EnoughStepsError

    with suppress(_EnoughStepsError), computing_on(options.threads.server):
        simulate(job, strategy=SamplingStrategy.GLOBAL, watch=watch, options=options)
    seconds = _mean_seconds(ends)
    evaluated = _evaluation_samples(job, options) / job.spec.sampling.global_batch_size
    return StepCost(seconds, evaluated * seconds * FORWARD_PART, _peak_bytes(device))


def _evaluation_samples(job: SplitTrainingJob, options: SimulationOptions) -> int:
    if job.spec.data.evaluation is None:
        return 0
    return open_evaluation_data(job.spec.data, cache=options.cache.expanduser(), class_names=()).samples


def _mean_seconds(ends: Sequence[float]) -> float:
    """Return the mean time between the ends of steps, without those that warm up if there are others."""
    measured = [later - earlier for earlier, later in pairwise(ends)]
    counted = measured[min(WARM_STEPS, len(measured) - 1) :]
    return sum(counted) / len(counted)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
