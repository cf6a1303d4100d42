"""A finished comparison and its summary per strategy, from which tables, figures and texts are made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pslgs.comparison.chosen_metric import Spread, default_target, last_value, reaches, value_in
from pslgs.comparison.trial import ComparisonOptions, Evaluation, TrialResult
from pslgs.sampling.deviation import CONFIDENCE, BatchQuality, deviation_bound, expected_deviation
from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.summary import ends_of_epochs
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.metrics import LOWER_IS_BETTER, Metric


@dataclass(frozen=True, slots=True)
class Goal:
    """When a strategy reached the target.

    Attributes:
        seeds: Number of seeds in which it did; the other figures are means over these.
        steps: Number of steps before.
        modelled_seconds: Modelled seconds before; None without a time model.
        traffic: Bytes in both directions before.
    """

    seeds: int
    steps: float
    modelled_seconds: float | None
    traffic: float


@dataclass(frozen=True, slots=True)
class StrategySummary:
    """Figures of a strategy, means over steps and then over seeds; None for what is not known.

    Attributes:
        strategy: Its name.
        seeds: Number of seeds.
        steps_per_epoch: Steps of an epoch; None for a method that has rounds instead of steps.
        active_clients: Clients that contribute to a step, or to a round.
        batch_size: Samples of a global batch; None without steps.
        small_batches: Share of steps with less than half of the global batch size; None without steps.
        deviation: L1 distance of a batch's class proportions from the pooled ones.
        deviation_at_end: Deviation over the last fifth of each epoch's steps.
        deviation_expected: Expected deviation of uniform batches of the same sizes.
        deviation_bound: Deviation that such a batch exceeds with probability at most 1 % (Serfling, L1).
        above_bound: Share of steps whose deviation is above their bound.
        accuracy: Accuracy of the last evaluation.
        recalibrated: Value of the chosen metric with recalibrated BatchNorm statistics.
        value: Value of the chosen metric in the last evaluation.
        bytes_per_epoch: Bytes in both directions; of pooled data all samples, which are transferred once.
        step_seconds: Modelled seconds of a step.
        modelled_seconds: Modelled seconds of the training.
        goal: When the target was reached; None if it was not.
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
    value: Spread | None
    bytes_per_epoch: Spread | None
    step_seconds: Spread | None
    modelled_seconds: Spread | None
    goal: Goal | None


def summarize(
    strategy: str, results: Sequence[TrialResult], batch_size: int, metric: Metric, target: float | None
) -> StrategySummary:
    """Summarize the results of one strategy.

    Args:
        strategy: Its name.
        results: Its results, one per seed.
        batch_size: B, the global batch size.
        metric: Metric by which the job compares models.
        target: Value of the metric whose first time is looked for; None for none.
    """
    scheduled = STRATEGIES[strategy].draw is not None

    def over(figure: Callable[[TrialResult], float | None]) -> Spread | None:
        return spread(map(figure, results))

    def over_steps(figure: Callable[[TrialResult], float | None]) -> Spread | None:
        return over(figure) if scheduled else None

    return StrategySummary(
        strategy=strategy,
        seeds=len(results),
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
        value=over(lambda each: last_value(metric, each)),
        bytes_per_epoch=over(_bytes_per_epoch),
        step_seconds=over(lambda each: _mean(each.steps.modelled_seconds)),
        modelled_seconds=over(lambda each: _number(each.steps.modelled_seconds.sum())),
        goal=_goal(results, metric, target),
    )


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean and standard deviation of the known values; None without any."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return Spread(float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else 0.0)


def traffic(result: TrialResult) -> NDArray[np.float64]:
    """Return the bytes transferred until the end of each step; shape (steps,)."""
    steps = result.steps
    if STRATEGIES[result.trial.strategy].pools_data:
        return np.full(len(steps), float(result.samples * result.sample_bytes))
    return np.cumsum(steps.bytes_up + steps.bytes_down).astype(np.float64)


def _bytes_per_epoch(result: TrialResult) -> float | None:
    total = traffic(result)
    if not len(total):
        return None
    once = STRATEGIES[result.trial.strategy].pools_data
    return float(total[-1]) / (1 if once else result.epochs)


def _above_bound(result: TrialResult) -> float | None:
    steps = result.steps
    return _mean((steps.deviation > steps.deviation_bound)[~np.isnan(steps.deviation)])


def _goal(results: Sequence[TrialResult], metric: Metric, target: float | None) -> Goal | None:
    """Return when the target was first reached, over the seeds in which it was."""
    reached = [
        (result, first)
        for result in results
        if (first := _first(result, metric, target)) and len(result.steps)
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


def _first(result: TrialResult, metric: Metric, target: float | None) -> Evaluation | None:
    if target is None:
        return None
    return next(
        (each for each in result.evaluations if reaches(metric, value_in(metric, each), target)), None
    )


def _mean(values: NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]) -> float | None:
    return _number(values.mean()) if len(values) else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Trade:
    """Time and deviation of LatentDirichlet with one δ, means over seeds.

    Attributes:
        delay_weight: δ.
        epoch_seconds: Modelled seconds of an epoch.
        deviation: Mean deviation over its steps.
    """

    delay_weight: float
    epoch_seconds: float
    deviation: float


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A finished comparison.

    Attributes:
        job: The job that was simulated.
        options: How it was compared.
        outcomes: Results of the strategies' trials.
        curve: Results of LatentDirichlet's trials over δ.
        measured_seconds: Trial -> seconds of computing here, the only figures that are not reproducible.
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
    def metric(self) -> Metric:
        """The metric by which the job compares models."""
        return self.job.spec.chosen_metric

    @property
    def target(self) -> float | None:
        """Target of the options, or what is 5 % worse than the best strategy's value; None without values."""
        if self.options.target is not None:
            return self.options.target
        means = [spread(last_value(self.metric, each) for each in self.of(s)) for s in self.strategies]
        known = [mean.mean for mean in means if mean]
        if not known:
            return None
        return default_target(self.metric, min(known) if self.metric in LOWER_IS_BETTER else max(known))

    @property
    def target_accuracy(self) -> float | None:
        """The target of a job whose metric is Accuracy; None of others."""
        return self.target if self.metric is Metric.ACCURACY else None

    @property
    def strategies(self) -> Sequence[str]:
        """Names of the strategies, in the order in which they are shown."""
        return self.options.strategies

    def of(self, strategy: str) -> list[TrialResult]:
        """Return the results of a strategy, one per seed."""
        return [each for each in self.outcomes if each.trial.strategy == strategy]

    def rows(self) -> list[StrategySummary]:
        """Return the summary of each strategy."""
        batch_size, metric, target = self.batch_size, self.metric, self.target
        return [summarize(each, self.of(each), batch_size, metric, target) for each in self.strategies]

    def table(self) -> dict[str, list[Any]]:
        """Return the summaries as columns, for a data frame: means, and ``…_sd`` for standard deviations."""
        columns: dict[str, list[Any]] = {}
        for row in self.rows():
            for name, value in _flatten(row).items():
                columns.setdefault(name, []).append(value)
        return columns

    def uniform(self) -> BatchQuality:
        """Return expected deviation and bound of a uniform batch of B samples of the pooled data."""
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
        """Return time and deviation of LatentDirichlet, by ascending δ."""
        weights = sorted(
            {each.trial.delay_weight for each in self.curve if each.trial.delay_weight is not None}
        )
        return [self._trade(weight) for weight in weights]

    def _trade(self, weight: float) -> Trade:
        members = [each.steps for each in self.curve if each.trial.delay_weight == weight]
        return Trade(
            weight,
            float(np.mean([steps.modelled_seconds.sum() for steps in members])),
            float(np.mean([steps.deviation.mean() for steps in members])),
        )


def _flatten(row: StrategySummary) -> dict[str, Any]:
    """Return the plain figures of a summary, two per spread and four of its goal."""
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
