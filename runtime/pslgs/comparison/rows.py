"""A strategy's figures over all seeds."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pslgs.comparison.outcome import Evaluation, Outcome
from pslgs.simulation.choices import SimulatedStrategy
from pslgs.simulation.summary import ends_of_epochs


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
class Row:
    """A strategy's figures; each is a mean over steps, then over seeds.  None for what is not known.

    Attributes:
        strategy: Which.
        seeds: With how many it was simulated.
        steps_per_epoch: How many.
        active_clients: A step.
        batch_size: Samples of a global batch.
        small_batches: Share of steps with less than half of the global batch size.
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

    strategy: SimulatedStrategy
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


def row_of(
    strategy: SimulatedStrategy, outcomes: Sequence[Outcome], batch_size: int, target: float | None
) -> Row:
    """Sum up the outcomes of one strategy, one for each seed; ``batch_size`` is B, the global one."""

    def over(figure: Callable[[Outcome], float | None]) -> Spread | None:
        return spread(map(figure, outcomes))

    return Row(
        strategy=strategy,
        seeds=len(outcomes),
        steps_per_epoch=over(lambda each: len(each.steps) / max(1, each.epochs)),
        active_clients=over(lambda each: _mean(each.steps.active_clients)),
        batch_size=over(lambda each: _mean(each.steps.batch_size)),
        small_batches=over(lambda each: _mean(each.steps.batch_size < batch_size / 2)),
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


def traffic(outcome: Outcome) -> NDArray[np.float64]:
    """Return the bytes up to and with each step; shape (steps,)."""
    steps = outcome.steps
    if outcome.cell.strategy is SimulatedStrategy.CENTRALIZED:
        return np.full(len(steps), float(outcome.samples * outcome.sample_bytes))
    return np.cumsum(steps.bytes_up + steps.bytes_down).astype(np.float64)


def _bytes_per_epoch(outcome: Outcome) -> float | None:
    total = traffic(outcome)
    if not len(total):
        return None
    once = outcome.cell.strategy is SimulatedStrategy.CENTRALIZED
    return float(total[-1]) / (1 if once else outcome.epochs)


def _above_bound(outcome: Outcome) -> float | None:
    steps = outcome.steps
    return _mean((steps.deviation > steps.deviation_bound)[~np.isnan(steps.deviation)])


def _goal(outcomes: Sequence[Outcome], target: float | None) -> Goal | None:
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


def _first(outcome: Outcome, target: float | None) -> Evaluation | None:
    if target is None:
        return None
    return next((each for each in outcome.evaluations if (each.accuracy or 0.0) >= target), None)


def _mean(values: NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]) -> float | None:
    return _number(values.mean()) if len(values) else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
