"""The trials of a comparison: one simulation each, and what is kept of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.job_variants import PAPER_STRATEGIES
from pslgs.simulation.result import SimulationResult, Steps
from pslgs.simulation.setup import SimulationOptions
from pslgs.simulation.summary import MEASURED
from pslgs.spec.errors import InputError
from pslgs.spec.training import SamplingStrategy
from pslgs.telemetry.records import EvaluationRecord

DELAY_WEIGHTS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Values of δ for which LatentDirichlet's time and deviation are compared, if links are assumed."""


@dataclass(frozen=True, slots=True)
class ComparisonOptions:
    """How a job is compared, apart from the job itself.

    Attributes:
        strategies: Names of the strategies, in the order in which they are shown.
        seeds: Each strategy is simulated once with each seed.
        target: Value of the job's metric whose first time is looked for; None for one that is by 5 % worse
            than the best strategy's.
        simulation: How each trial is simulated.
    """

    strategies: Sequence[str] = PAPER_STRATEGIES
    seeds: Sequence[int] = (0, 1, 2)
    target: float | None = None
    simulation: SimulationOptions = field(default_factory=SimulationOptions)


class Trial(NamedTuple):
    """A simulation of the job with one strategy and one seed.

    Attributes:
        strategy: Name of the strategy that draws the batches.
        seed: Seed of every random number.
        delay_weight: δ of a trial that only draws LatentDirichlet's batches; None in the comparison itself.
    """

    strategy: str
    seed: int
    delay_weight: float | None = None

    @property
    def name(self) -> str:
        """Unique name among the trials of a comparison, and the name of its file."""
        delay_weight = "" if self.delay_weight is None else f"-delay-weight-{self.delay_weight:g}"
        return f"{self.strategy}{delay_weight}-seed-{self.seed}"


def trials_of(options: ComparisonOptions) -> list[Trial]:
    """Return all trials, seed by seed, so that strategies can be compared early.

    Raises:
        InputError: a strategy is named twice, or has no schedule and only schedules are wanted.
    """
    strategies = list(options.strategies)
    if len(set(strategies)) < len(strategies):
        raise InputError.at("--strategies", f"names one twice: {', '.join(strategies)}; remove it")
    unscheduled = [name for name in strategies if STRATEGIES[name].draw is None]
    if options.simulation.schedule_only and unscheduled:
        raise InputError.at(
            "--strategies", f"names {unscheduled[0]}, which has no schedule; leave it out, or train"
        )
    compared = [Trial(strategy, seed) for seed in options.seeds for strategy in strategies]
    return [*compared, *_curve(options)]


def _curve(options: ComparisonOptions) -> list[Trial]:
    """Return the trials of LatentDirichlet over δ; without links there is no time to compare."""
    strategy = SamplingStrategy.LATENT_DIRICHLET
    if options.simulation.profile is None or strategy not in options.strategies:
        return []
    return [Trial(strategy, seed, weight) for weight in DELAY_WEIGHTS for seed in options.seeds]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation; accuracies are 0 … 1, None without classes.

    Attributes:
        epoch: Epoch, counted from 1.
        step: Number of steps before it, over all epochs.
        accuracy: Accuracy of the model.
        recalibrated: Value of that metric with recalibrated BatchNorm statistics; None without them.
        value: Value of the metric by which the job compares models; None if it is undefined.
    """

    epoch: int
    step: int
    accuracy: float | None
    recalibrated: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrialResult:
    """What is kept of a finished trial.

    Attributes:
        trial: The trial.
        clients: K, number of clients.
        samples: N, number of samples of all clients.
        sample_bytes: Bytes of one input sample.
        pooled: Samples of each class at all clients; empty without classes.
        steps: Figures of the steps; measured times are NaN, so that equal trials have equal results.
        evaluations: Evaluations in order.
        result: Name of the `ExitCode` with which it ended.
        message: How it ended, in words.
    """

    trial: Trial
    clients: int
    samples: int
    sample_bytes: int
    pooled: tuple[int, ...]
    steps: Steps
    evaluations: tuple[Evaluation, ...]
    result: str
    message: str

    @property
    def epochs(self) -> int:
        """Number of epochs that were trained."""
        return int(self.steps.epoch.max(initial=0))

    @property
    def accuracy(self) -> float | None:
        """Accuracy of the last evaluation; None without one."""
        return self.evaluations[-1].accuracy if self.evaluations else None

    @property
    def value(self) -> float | None:
        """Value of the chosen metric in the last evaluation; None without one."""
        return self.evaluations[-1].value if self.evaluations else None

    @property
    def recalibrated(self) -> float | None:
        """Value of the chosen metric with recalibrated BatchNorm statistics in the last evaluation."""
        return self.evaluations[-1].recalibrated if self.evaluations else None


_EVALUATIONS: Final = TypeAdapter(tuple[Evaluation, ...])
_TRIAL: Final = TypeAdapter(Trial)


def trial_result(
    trial: Trial, result: SimulationResult, modelled_seconds: NDArray[np.float64]
) -> TrialResult:
    """Reduce the result of a simulation to what is kept.

    Args:
        trial: The trial.
        result: Result of its simulation.
        modelled_seconds: Modelled seconds of each step; shape (steps,).
    """
    unmeasured = np.full(len(result.steps), np.nan)
    steps = replace(result.steps, measured_seconds=unmeasured, modelled_seconds=modelled_seconds)
    counts = result.label_counts
    return TrialResult(
        trial=trial,
        clients=result.clients,
        samples=result.samples,
        sample_bytes=result.sample_bytes,
        pooled=() if counts is None else tuple(counts.sum(axis=0).tolist()),
        steps=steps,
        evaluations=tuple(map(_evaluation_of, result.evaluations)),
        result=result.finish.outcome,
        message=result.finish.message,
    )


def trial_document(result: TrialResult) -> dict[str, Any]:
    """Convert a result to a JSON document; what is not known is null."""
    table = {name: column for name, column in result.steps.table().items() if name != MEASURED}
    return {
        "cell": _TRIAL.dump_python(result.trial, mode="json"),
        "clients": result.clients,
        "samples": result.samples,
        "sampleBytes": result.sample_bytes,
        "pooled": list(result.pooled),
        "result": result.result,
        "message": result.message,
        "evaluations": _EVALUATIONS.dump_python(result.evaluations, mode="json"),
        "steps": {name: [None if x != x else x for x in column] for name, column in table.items()},  # noqa: PLR0124 - NaN
    }


def trial_from_document(document: dict[str, Any]) -> TrialResult:
    """Return the result that `trial_document` made a document of.

    Raises:
        ValueError: a value of the document is invalid.
        KeyError: a key is missing.
        TypeError: a value has another type.
    """
    columns = document["steps"]
    unmeasured = [None] * len(columns["epoch"])
    return TrialResult(
        trial=_TRIAL.validate_python(document["cell"]),
        clients=document["clients"],
        samples=document["samples"],
        sample_bytes=document["sampleBytes"],
        pooled=tuple(document["pooled"]),
        steps=Steps.of_columns({**columns, MEASURED: unmeasured}),
        evaluations=_EVALUATIONS.validate_python(document["evaluations"]),
        result=document["result"],
        message=document["message"],
    )


def _evaluation_of(record: EvaluationRecord) -> Evaluation:
    again = record.recalibrated
    recalibrated = again.metrics.get(record.metric) if again is not None else None
    return Evaluation(record.epoch, record.step, record.accuracy, recalibrated, record.value)
