"""Evaluation of a model: scores of samples and datasets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pslgs.data.client_dataset import ClientDataset
from pslgs.training.objective import Objective

if TYPE_CHECKING:
    from pslgs.training.server_model import ServerModel


@dataclass(frozen=True, slots=True)
class Score:
    """Loss and correct predictions, summed over evaluated samples; scores can be added.

    Attributes:
        samples: Number of samples.
        loss_sum: Sum of the losses of the samples.
        correct: Number of correctly classified samples; None if labels are not classes.
    """

    samples: int = 0
    loss_sum: float = 0.0
    correct: int | None = None

    def __add__(self, other: "Score") -> "Score":
        both = [count for count in (self.correct, other.correct) if count is not None]
        correct = sum(both) if both else None
        return Score(self.samples + other.samples, self.loss_sum + other.loss_sum, correct)

    @property
    def loss(self) -> float:
        """Mean loss; NaN without samples."""
        return self.loss_sum / self.samples if self.samples else float("nan")

    @property
    def accuracy(self) -> float | None:
        """Fraction of correctly classified samples, 0 … 1; None without classes or samples."""
        return self.correct / self.samples if self.correct is not None and self.samples else None


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
