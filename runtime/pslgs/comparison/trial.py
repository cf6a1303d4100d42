"""The cells of a comparison: one simulation each."""

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
"""δ of LatentDirichlet whose time and deviation are looked at, where links are assumed."""


@dataclass(frozen=True, slots=True)
class ComparisonOptions:
    """How a job is compared, apart from the job itself.

    Attributes:
        strategies: Names of the strategies, in the order in which they are shown.
        seeds: Each strategy is simulated once with each seed.
        target_accuracy: Accuracy whose first time is looked for, 0 … 1; None for 95 % of the best strategy's.
        simulation: How each trial is simulated.
    """

    strategies: Sequence[str] = PAPER_STRATEGIES
    seeds: Sequence[int] = (0, 1, 2)
    target_accuracy: float | None = None
    simulation: SimulationOptions = field(default_factory=SimulationOptions)


class Trial(NamedTuple):
    """A strategy with a seed.

    Attributes:
        strategy: Name of the strategy that draws the batches.
        seed: Of everything random.
        delay_weight: δ, where only LatentDirichlet's batches are looked at; None in the comparison itself.
    """

    strategy: str
    seed: int
    delay_weight: float | None = None

    @property
    def name(self) -> str:
        """Its own among all cells; a file's name."""
        delay_weight = "" if self.delay_weight is None else f"-delay-weight-{self.delay_weight:g}"
        return f"{self.strategy}{delay_weight}-seed-{self.seed}"


def trials_of(options: ComparisonOptions) -> list[Trial]:
    """List all cells, those of one seed together, so that strategies can be compared early.

    Raises:
        InputError: a strategy is named twice, or has no schedule though that is all that is wanted.
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
    """List the cells that tell LatentDirichlet's time and deviation over δ; without links there's no time."""
    strategy = SamplingStrategy.LATENT_DIRICHLET
    if options.simulation.profile is None or strategy not in options.strategies:
        return []
    return [Trial(strategy, seed, weight) for weight in DELAY_WEIGHTS for seed in options.seeds]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation; accuracies are 0 … 1, None without classes.

    Attributes:
        epoch: Counted from 1.
        step: Steps up to it, counted over all epochs.
        accuracy: Of the model as it is.
        recalibrated: With BatchNorm statistics that were estimated anew; None where they were not.
    """

    epoch: int
    step: int
    accuracy: float | None
    recalibrated: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrialResult:
    """A finished cell.

    Attributes:
        cell: Which.
        clients: K.
        samples: N.
        sample_bytes: Of one sample as the network takes it.
        pooled: All clients' samples of each class; empty without classes.
        steps: Without what was measured, so that the same cell has the same outcome; NaN stands there.
        evaluations: In their order.
        result: How it ended, an `ExitCode`'s name.
        message: The same in words.
    """

    cell: Trial
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
        """Epochs that were made."""
        return int(self.steps.epoch.max(initial=0))

    @property
    def accuracy(self) -> float | None:
        """Of the last evaluation."""
        return self.evaluations[-1].accuracy if self.evaluations else None

    @property
    def recalibrated(self) -> float | None:
        """The same with BatchNorm statistics that were estimated anew."""
        return self.evaluations[-1].recalibrated if self.evaluations else None


_OUTCOME: Final = TypeAdapter(tuple[Evaluation, ...])
_CELL: Final = TypeAdapter(Trial)


def trial_result(cell: Trial, result: SimulationResult, modelled_seconds: NDArray[np.float64]) -> TrialResult:
    """Keep what matters of a simulation.

    Args:
        cell: Which.
        result: The simulation.
        modelled_seconds: Of each step; (steps,).
    """
    unmeasured = np.full(len(result.steps), np.nan)
    steps = replace(result.steps, measured_seconds=unmeasured, modelled_seconds=modelled_seconds)
    counts = result.label_counts
    return TrialResult(
        cell=cell,
        clients=result.clients,
        samples=result.samples,
        sample_bytes=result.sample_bytes,
        pooled=() if counts is None else tuple(counts.sum(axis=0).tolist()),
        steps=steps,
        evaluations=tuple(map(_evaluation_of, result.evaluations)),
        result=result.finish.outcome,
        message=result.finish.message,
    )


def trial_document(outcome: TrialResult) -> dict[str, Any]:
    """Turn an outcome into what JSON can say; what is not known is null."""
    table = {name: column for name, column in outcome.steps.table().items() if name != MEASURED}
    return {
        "cell": _CELL.dump_python(outcome.cell, mode="json"),
        "clients": outcome.clients,
        "samples": outcome.samples,
        "sampleBytes": outcome.sample_bytes,
        "pooled": list(outcome.pooled),
        "result": outcome.result,
        "message": outcome.message,
        "evaluations": _OUTCOME.dump_python(outcome.evaluations, mode="json"),
        "steps": {name: [None if x != x else x for x in column] for name, column in table.items()},  # noqa: PLR0124 - NaN
    }


def trial_from_document(document: dict[str, Any]) -> TrialResult:
    """Undo `to_document`.

    Raises:
        ValueError: the document is none of `to_document`; so are `KeyError` and `TypeError` then.
    """
    columns = document["steps"]
    unmeasured = [None] * len(columns["epoch"])
    return TrialResult(
        cell=_CELL.validate_python(document["cell"]),
        clients=document["clients"],
        samples=document["samples"],
        sample_bytes=document["sampleBytes"],
        pooled=tuple(document["pooled"]),
        steps=Steps.of_columns({**columns, MEASURED: unmeasured}),
        evaluations=_OUTCOME.validate_python(document["evaluations"]),
        result=document["result"],
        message=document["message"],
    )


def _evaluation_of(record: EvaluationRecord) -> Evaluation:
    recalibrated = record.recalibrated.accuracy if record.recalibrated else None
    return Evaluation(record.epoch, record.step, record.accuracy, recalibrated)
