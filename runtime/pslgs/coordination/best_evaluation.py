"""The best evaluation of a training so far, and whether the training ends early."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Comparison:
    """How evaluations are compared.

    Attributes:
        metric: Name of the metric.
        higher_is_better: Whether a higher value of it is better.
        patience: Number of evaluations in a row without improvement after which the training ends; None to
            train all epochs.
        min_delta: Change of the value that an improvement has to exceed.
    """

    metric: str = "Accuracy"
    higher_is_better: bool = True
    patience: int | None = None
    min_delta: float = 0.0

    def is_better(self, value: float, than: float, by: float = 0.0) -> bool:
        """Return whether ``value`` is better than another by more than ``by``."""
        return value > than + by if self.higher_is_better else value < than - by


@dataclass(frozen=True, slots=True)
class BestEvaluation:
    """The best evaluation so far, as a checkpoint keeps it.

    Attributes:
        metric: Name of the metric.
        value: Its best value; None before the first evaluation with a finite one.
        epoch: Epoch after which it was measured; 0 without one.
        step: Number of steps before it.
        improved_to: Value of the last improvement by more than ``min_delta``, from which patience counts.
        without_improvement: Number of evaluations since then.
        last_epoch: Epoch of the last evaluation; 0 without one.
    """

    metric: str = ""
    value: float | None = None
    epoch: int = 0
    step: int = 0
    improved_to: float | None = None
    without_improvement: int = 0
    last_epoch: int = 0

    def after(self, value: float | None, epoch: int, step: int, by: Comparison) -> "BestEvaluation":
        """Return the state after an evaluation; an undefined or non-finite value improves nothing."""
        finite = value if value is not None and math.isfinite(value) else None
        seen = replace(self, metric=by.metric, last_epoch=epoch)
        if finite is not None and (self.value is None or by.is_better(finite, self.value)):
            seen = replace(seen, value=finite, epoch=epoch, step=step)
        if finite is not None and (
            self.improved_to is None or by.is_better(finite, self.improved_to, by.min_delta)
        ):
            return replace(seen, improved_to=finite, without_improvement=0)
        return replace(seen, without_improvement=self.without_improvement + 1)

    def ends(self, by: Comparison) -> bool:
        """Return whether the training ends after the epoch of the last evaluation."""
        return by.patience is not None and self.without_improvement >= by.patience

    def why_it_ends(self, by: Comparison) -> str:
        """Return why the training ends early, as a clause."""
        since = f"{by.metric} has not improved in {by.patience} evaluations"
        if self.value is None:
            return f"{since}; it was never finite"
        return f"{since}; the best was {self.value:.4g} after epoch {self.epoch}"
