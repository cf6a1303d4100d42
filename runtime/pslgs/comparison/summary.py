"""A finished comparison, and the views of it that tables, charts and words are made from."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pslgs.comparison.trial import ComparisonOptions, Evaluation, TrialResult
from pslgs.sampling.deviation import CONFIDENCE, BatchQuality, deviation_bound, expected_deviation
from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.summary import ends_of_epochs
from pslgs.spec.job import SplitTrainingJob


class Spread(NamedTuple):
    """A figure over seeds.

    Attributes:
        mean: Over those seeds in which it is known.
        deviation: Standard deviation of the sample; 0 of a single seed.
    """

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Goal:
    """A target accuracy that is reached.

    Attributes:
        seeds: In how many.
        steps: Until then, on average over these seeds; so are the others.
        modelled_seconds: None where no time is modelled.
        traffic: Bytes, both ways.
    """

    seeds: int
    steps: float
    modelled_seconds: float | None
    traffic: float


@dataclass(frozen=True, slots=True)
class StrategySummary:
    """A strategy's figures; each is a mean over steps, then over seeds.  None for what is not known.

    Attributes:
        strategy: Its name.
        seeds: With how many it was simulated.
        steps_per_epoch: Steps of an epoch; None for a method that has rounds instead of steps.
        active_clients: Clients that contribute to a step, or to a round.
        batch_size: Samples of a global batch; None without steps.
        small_batches: Share of steps with less than half of the global batch size; None without steps.
        deviation: L1 distance of a batch's class mix from the pooled one.
        deviation_at_end: The same over the last fifth of the epochs' steps.
        deviation_expected: Of uniform batches of the same sizes.
        deviation_bound: That such a batch exceeds with probability at most 1 % (Serfling, L1 form).
        above_bound: Share of steps whose deviation is above their bound.
        accuracy: Of the last evaluation.
        recalibrated: The same with BatchNorm statistics that were estimated anew.
        bytes_per_epoch: Both ways; of `Centralized` all samples once, the only time that they travel.
        step_seconds: Modelled, of a step.
        modelled_seconds: Of the whole training.
        goal: The target accuracy, reached; None where it was not.
    """

    strategy: str
    seeds: int
    steps_per_epoch: Spread | None
    active_clients: Spread | None
    batch_size: Spread | None
    small_batches: Spread | None
    deviation: Spread | None
    deviation_at_end: Spread | None
    deviation_expected: Spread | None
    deviation_bound: Spread | None
    above_bound: Spread | None
    accuracy: Spread | None
    recalibrated: Spread | None
    bytes_per_epoch: Spread | None
    step_seconds: Spread | None
    modelled_seconds: Spread | None
    goal: Goal | None


def summarize(
    strategy: str, outcomes: Sequence[TrialResult], batch_size: int, target: float | None
) -> StrategySummary:
    """Sum up the outcomes of one strategy, one for each seed; ``batch_size`` is B, the global one."""
    scheduled = STRATEGIES[strategy].draw is not None

    def over(figure: Callable[[TrialResult], float | None]) -> Spread | None:
        return spread(map(figure, outcomes))

    def over_steps(figure: Callable[[TrialResult], float | None]) -> Spread | None:
        return over(figure) if scheduled else None

    return StrategySummary(
        strategy=strategy,
        seeds=len(outcomes),
        steps_per_epoch=over_steps(lambda each: len(each.steps) / max(1, each.epochs)),
        active_clients=over(lambda each: _mean(each.steps.active_clients)),
        batch_size=over_steps(lambda each: _mean(each.steps.batch_size)),
        small_batches=over_steps(lambda each: _mean(each.steps.batch_size < batch_size / 2)),
        deviation=over(lambda each: _mean(each.steps.deviation)),
        deviation_at_end=over(lambda each: _mean(each.steps.deviation[ends_of_epochs(each.steps)])),
        deviation_expected=over(lambda each: _mean(each.steps.deviation_expected)),
        deviation_bound=over(lambda each: _mean(each.steps.deviation_bound)),
        above_bound=over(_above_bound),
        accuracy=over(lambda each: each.accuracy),
        recalibrated=over(lambda each: each.recalibrated),
        bytes_per_epoch=over(_bytes_per_epoch),
        step_seconds=over(lambda each: _mean(each.steps.modelled_seconds)),
        modelled_seconds=over(lambda each: _number(each.steps.modelled_seconds.sum())),
        goal=_goal(outcomes, target),
    )


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean and standard deviation of what is known; None where nothing is."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return Spread(float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else 0.0)


def traffic(outcome: TrialResult) -> NDArray[np.float64]:
    """Return the bytes up to and with each step; shape (steps,)."""
    steps = outcome.steps
    if STRATEGIES[outcome.cell.strategy].pools_data:
        return np.full(len(steps), float(outcome.samples * outcome.sample_bytes))
    return np.cumsum(steps.bytes_up + steps.bytes_down).astype(np.float64)


def _bytes_per_epoch(outcome: TrialResult) -> float | None:
    total = traffic(outcome)
    if not len(total):
        return None
    once = STRATEGIES[outcome.cell.strategy].pools_data
    return float(total[-1]) / (1 if once else outcome.epochs)


def _above_bound(outcome: TrialResult) -> float | None:
    steps = outcome.steps
    return _mean((steps.deviation > steps.deviation_bound)[~np.isnan(steps.deviation)])


def _goal(outcomes: Sequence[TrialResult], target: float | None) -> Goal | None:
    """Find when the accuracy was first reached, in those seeds in which it was."""
    reached = [
        (outcome, first) for outcome in outcomes if (first := _first(outcome, target)) and len(outcome.steps)
    ]
    if not reached:
        return None
    seconds = spread(_number(each.steps.modelled_seconds[: first.step].sum()) for each, first in reached)
    return Goal(
        seeds=len(reached),
        steps=float(np.mean([first.step for _, first in reached])),
        modelled_seconds=seconds.mean if seconds else None,
        traffic=float(np.mean([traffic(each)[first.step - 1] for each, first in reached])),
    )


def _first(outcome: TrialResult, target: float | None) -> Evaluation | None:
    if target is None:
        return None
    return next((each for each in outcome.evaluations if (each.accuracy or 0.0) >= target), None)


def _mean(values: NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]) -> float | None:
    return _number(values.mean()) if len(values) else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


_TARGET_PART = 0.95
"""Of the best strategy's accuracy, where no target is given."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What a δ of LatentDirichlet gives, on average over seeds.

    Attributes:
        delay_weight: δ.
        epoch_seconds: Modelled, of one epoch.
        deviation: Mean over its steps.
    """

    delay_weight: float
    epoch_seconds: float
    deviation: float


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The outcomes of all cells.

    Attributes:
        job: That was simulated.
        options: How.
        outcomes: Of the comparison itself.
        curve: Of LatentDirichlet over δ.
        measured_seconds: Cell -> seconds that it computed here; the only figures that differ each time.
    """

    job: SplitTrainingJob
    options: ComparisonOptions
    outcomes: tuple[TrialResult, ...]
    curve: tuple[TrialResult, ...] = ()
    measured_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def batch_size(self) -> int:
        """B, the global batch size."""
        return self.job.spec.sampling.global_batch_size

    @property
    def target_accuracy(self) -> float | None:
        """The one that was asked for, or 95 % of what the best reaches; None without accuracies."""
        if self.options.target_accuracy is not None:
            return self.options.target_accuracy
        means = [spread(each.accuracy for each in self.of(s)) for s in self.strategies]
        best = max((mean.mean for mean in means if mean), default=None)
        return None if best is None else math.floor(100 * _TARGET_PART * best) / 100

    @property
    def strategies(self) -> Sequence[str]:
        """Those that were compared, in their order."""
        return self.options.strategies

    def of(self, strategy: str) -> list[TrialResult]:
        """Return a strategy's outcomes, one for each seed."""
        return [each for each in self.outcomes if each.cell.strategy == strategy]

    def rows(self) -> list[StrategySummary]:
        """Sum up each strategy."""
        target = self.target_accuracy
        return [summarize(each, self.of(each), self.batch_size, target) for each in self.strategies]

    def table(self) -> dict[str, list[Any]]:
        """Return the rows as columns, for a data frame; means, and ``…_sd`` for their spread."""
        columns: dict[str, list[Any]] = {}
        for row in self.rows():
            for name, value in _flatten(row).items():
                columns.setdefault(name, []).append(value)
        return columns

    def uniform(self) -> BatchQuality:
        """Return what a uniform batch of B samples of the pooled data is expected to be, and its bound."""
        pooled = np.array(self.outcomes[0].pooled if self.outcomes else (), dtype=np.int64)
        samples = int(pooled.sum())
        if not samples:
            return BatchQuality()
        batch = min(self.batch_size, samples)
        return BatchQuality(
            None,
            expected_deviation(pooled / samples, batch, samples),
            deviation_bound(len(pooled), batch, samples, CONFIDENCE),
        )

    def trades(self) -> list[Trade]:
        """Return LatentDirichlet's time and deviation, ascending by δ."""
        weights = sorted(
            {each.cell.delay_weight for each in self.curve if each.cell.delay_weight is not None}
        )
        return [self._trade(weight) for weight in weights]

    def _trade(self, weight: float) -> Trade:
        members = [each.steps for each in self.curve if each.cell.delay_weight == weight]
        return Trade(
            weight,
            float(np.mean([steps.modelled_seconds.sum() for steps in members])),
            float(np.mean([steps.deviation.mean() for steps in members])),
        )


def _flatten(row: StrategySummary) -> dict[str, Any]:
    """Lay a row's spreads out as two figures each, and its goal as some."""
    flat: dict[str, Any] = {}
    for name in StrategySummary.__slots__:
        value = getattr(row, name)
        if name in {"strategy", "seeds"}:
            flat[name] = value
        elif name == "goal":
            reached = (
                asdict(value) if value else dict.fromkeys(("seeds", "steps", "modelled_seconds", "traffic"))
            )
            flat |= {f"goal_{key}": each for key, each in reached.items()}
        else:
            flat |= (
                {name: value.mean, f"{name}_sd": value.deviation}
                if value
                else {name: None, f"{name}_sd": None}
            )
    return flat
