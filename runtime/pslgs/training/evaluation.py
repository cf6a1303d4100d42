"""Evaluation of a model: scores of samples and datasets."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pslgs.data.client_dataset import ClientDataset
from pslgs.spec.metrics import Metric
from pslgs.training.objective import Objective
from pslgs.training.tally import Tally

if TYPE_CHECKING:
    from pslgs.training.server_model import ServerModel


@dataclass(frozen=True, slots=True)
class Score:
    """Loss and counts of predictions over evaluated samples; scores can be added.

    Attributes:
        samples: Number of samples.
        loss_sum: Sum of the weighted losses of the samples.
        correct: Number of correctly classified samples; None if labels are not classes.
        weight: Sum of the samples' weights in the loss; their number unless classes have weights.
        tally: Counts of outputs and labels, from which the metrics follow; None without samples.
    """

    samples: int = 0
    loss_sum: float = 0.0
    correct: int | None = None
    weight: float = 0.0
    tally: Tally | None = field(default=None, compare=False)

    def __add__(self, other: "Score") -> "Score":
        both = [count for count in (self.correct, other.correct) if count is not None]
        correct = sum(both) if both else None
        return Score(
            self.samples + other.samples,
            self.loss_sum + other.loss_sum,
            correct,
            self.weight + other.weight,
            _added(self.tally, other.tally),
        )

    @property
    def loss(self) -> float:
        """Mean loss; NaN without samples."""
        return self.loss_sum / self.weight if self.weight else float("nan")

    @property
    def accuracy(self) -> float | None:
        """Fraction of correctly classified samples, 0 … 1; None without classes or samples."""
        return self.correct / self.samples if self.correct is not None and self.samples else None

    def metrics(self) -> dict[Metric, float | None]:
        """Return all metrics of the task, the loss first; a metric that is undefined is None."""
        counted = self.tally.metrics() if self.tally is not None else {}
        return {Metric.LOSS: self.loss if self.samples else None, **counted}

    def value_of(self, metric: Metric) -> float:
        """Return the value of a metric; NaN if it is undefined."""
        value = self.loss if metric is Metric.LOSS else self.metrics().get(metric)
        return math.nan if value is None else value


def _added(one: Tally | None, other: Tally | None) -> Tally | None:
    if one is None or other is None:
        return one or other
    return one + other  # type: ignore[operator]  # tallies of one evaluation are of one kind


def score_samples(
    model: "ServerModel", objective: Objective, data: ClientDataset, first: int, count: int
) -> Score:
    """Score samples ``first`` … ``first + count - 1`` of ``data`` on the whole network.

    Raises:
        InputError: a sample is damaged, or its label does not fit the model.
    """
    batch = data.in_order(first, count)
    return model.score_inputs(batch.inputs, objective.as_labels(batch.labels))


def score_dataset(model: "ServerModel", objective: Objective, data: ClientDataset, batch_size: int) -> Score:
    """Score all samples of ``data`` on the whole network, at most ``batch_size`` at a time.

    Raises:
        InputError: a sample is damaged, or its label does not fit the model.
    """
    firsts = range(0, data.samples, batch_size)
    sizes = (min(batch_size, data.samples - first) for first in firsts)
    scores = (
        score_samples(model, objective, data, first, size) for first, size in zip(firsts, sizes, strict=True)
    )
    return sum(scores, Score())
