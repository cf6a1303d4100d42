"""The learning rate of a step."""

import math
from dataclasses import dataclass

from pslgs.coordination.epoch_position import ONLY_STEP, EpochPosition
from pslgs.spec.metrics import LOWER_IS_BETTER, is_better
from pslgs.spec.optimizer import OptimizerSpec, ScheduleName, ScheduleSpec

WARM_UP_START = 0.01
"""Fraction of the learning rate with which a warm-up begins."""

LEAST_IMPROVEMENT = 1e-4
"""Part of the best value by which an evaluation must be better to count as an improvement."""

CYCLE_RISE = 0.3
CYCLE_START = 1 / 25
CYCLE_END = CYCLE_START / 1e4
"""Share of the epochs in which OneCycle rises; its first and its last rate, as parts of the highest one."""


@dataclass(slots=True)
class Plateau:
    """The reductions of a learning rate that follows evaluations, as torch's ReduceLROnPlateau makes them.

    Attributes:
        best: Best value so far; None before the first evaluation.
        waited: Evaluations since then, or since the last reduction.
        reductions: Number of reductions so far.
    """

    best: float | None = None
    waited: int = 0
    reductions: int = 0

    def observe(self, value: float, metric: str, schedule: ScheduleSpec) -> None:
        """Take the value of a metric in an evaluation into account, if the schedule follows evaluations.

        A value that is not a number is no improvement.
        """
        if schedule.name is not ScheduleName.REDUCE_ON_PLATEAU:
            return
        if self._improves(value, metric):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.waited > schedule.patience:
            self.waited = 0
            self.reductions += 1

    def _improves(self, value: float, metric: str) -> bool:
        if self.best is None:
            return is_better(metric, value, math.inf if metric in LOWER_IS_BETTER else -math.inf)
        margin = -LEAST_IMPROVEMENT if metric in LOWER_IS_BETTER else LEAST_IMPROVEMENT
        return is_better(metric, value, self.best * (1 + margin))


def learning_rate(
    spec: OptimizerSpec,
    epoch: int,
    epochs: int,
    position: EpochPosition = ONLY_STEP,
    reductions: int = 0,
) -> float:
    """Return the learning rate of a step.

    With accumulation, the rate is that of the optimizer step that the global batch is part of.

    Args:
        spec: Optimizer settings with the schedule.
        epoch: Number of the epoch, from 1.
        epochs: Number of epochs of the job.
        position: Position of the global batch in its epoch.
        reductions: Number of reductions so far (`Plateau`).
    """
    schedule = spec.schedule
    highest = spec.learning_rate * float(schedule.factor**reductions) if reductions else spec.learning_rate
    if spec.accumulate > 1:
        planned = -(-position.planned // spec.accumulate)
        position = EpochPosition(position.taken // spec.accumulate, planned)
    if schedule.name is ScheduleName.ONE_CYCLE:
        rise = CYCLE_RISE if schedule.warmup_epochs is None else schedule.warmup_epochs / epochs
        return highest * _one_cycle(
            (epoch - 1) * position.planned + position.taken, epochs * position.planned, rise
        )
    if schedule.warmup_epochs is None:
        return _after_warm_up(spec, highest, epoch - 1, epochs)
    passed = epoch - 1 + position.taken / position.planned
    warm_up = schedule.warmup_epochs
    if passed < warm_up:
        return highest * (WARM_UP_START + (1 - WARM_UP_START) * passed / warm_up)
    return _after_warm_up(spec, highest, max(0.0, epoch - 1 - warm_up), epochs - warm_up)


def _after_warm_up(spec: OptimizerSpec, highest: float, passed: float, epochs: float) -> float:
    """Return the learning rate of an epoch.

    For the cosine schedule it is lr/2 · (1 + cos(π passed/epochs)) (Loshchilov and Hutter 2017, without
    restarts).

    Args:
        spec: Optimizer settings with the schedule.
        highest: Learning rate of the first epoch.
        passed: Epochs between the warm-up and this one.
        epochs: Epochs after the warm-up.
    """
    match spec.schedule.name:
        case ScheduleName.COSINE:
            return highest / 2 * (1 + math.cos(math.pi * passed / epochs))
        case ScheduleName.STEP:
            changes = int(passed // spec.schedule.every_epochs)
            return highest * float(spec.schedule.factor**changes)
        case _:
            return highest


def _one_cycle(step: int, steps: int, rise: float) -> float:
    """Return the factor of a step, from 0, in one cycle over all steps (Smith and Topin 2017).

    It follows half a cosine up to 1, and another one down, as in torch.optim.lr_scheduler.OneCycleLR.
    """
    top, last = rise * steps - 1, steps - 1
    if step <= top:
        return _between(CYCLE_START, 1.0, step / top if top else 1.0)
    return _between(1.0, CYCLE_END, (step - top) / (last - top))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)
