"""The objective of a training: loss, form of the labels, and correct predictions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pslgs.spec.errors import InputError
from pslgs.spec.training import Loss


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a training, with its requirements on outputs and labels.

    Attributes:
        loss: The loss of the job.
        output_shape: Shape of the model's output for one sample.
        classes: Number of classes, M; None if labels are not classes.
        label_width: Number of elements in a label; labels of a batch have the shape (B, label_width).
        label_dtype: Type of the labels: int64 for class numbers, otherwise the type of the outputs.
    """

    loss: Loss
    output_shape: tuple[int, ...]
    classes: int | None
    label_width: int
    label_dtype: torch.dtype

    def mean_loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, averaged over the batch, as a scalar tensor.

        Args:
            outputs: Shape (B, *output_shape).
            labels: Shape (B, label_width).
        """
        if self.loss is Loss.CROSS_ENTROPY:
            return functional.cross_entropy(outputs, labels[:, 0])
        return _ELEMENTWISE[self.loss](outputs.reshape(labels.shape), labels)

    def correct(self, outputs: Tensor, labels: Tensor) -> int | None:
        """Return the number of samples whose class is predicted; None if labels are not classes."""
        match self.loss:
            case Loss.CROSS_ENTROPY:
                return int((outputs.argmax(dim=1) == labels[:, 0]).sum())
            case Loss.BINARY_CROSS_ENTROPY if self.classes:
                return int(((outputs.reshape(labels.shape) > 0) == (labels > 0.5)).sum())
            case _:
                return None

    def as_labels(self, labels: Tensor) -> Tensor:
        """Convert the labels of a dataset, shape (B,) or (B, targets), to shape (B, label_width)."""
        rows = labels.unsqueeze(1) if labels.dim() == 1 else labels.flatten(1)
        return rows.to(self.label_dtype)

    def class_counts(self, labels: Tensor) -> list[int]:
        """Return the number of labels of each class; empty if labels are not classes.

        Args:
            labels: Shape (N, label_width).
        """
        if self.classes is None:
            return []
        counts: list[int] = torch.bincount(self.class_numbers(labels), minlength=self.classes).tolist()
        return counts

    def class_numbers(self, labels: Tensor) -> Tensor:
        """Return the class number of each label (N, label_width); shape (N,)."""
        return labels[:, 0].round().long()

    def violation(self, labels: Tensor) -> str | None:
        """Return what is wrong with labels of shape (B, width), as a clause; None if they are valid."""
        finite = labels.dtype == torch.int64 or bool(torch.isfinite(labels).all())
        return self.range_violation(labels) or (None if finite else "has labels that are not finite")

    def range_violation(self, labels: Tensor) -> str | None:
        """Return why labels of shape (B, width) do not fit the model, finite or not; None if they do."""
        if labels.shape[1] != self.label_width:
            return f"has {labels.shape[1]} targets per sample, but the model has {self.label_width} outputs"
        if not len(labels):
            return None
        low, high = labels.min().item(), labels.max().item()
        match self.loss:
            case Loss.CROSS_ENTROPY if low < 0 or high >= (self.classes or 0):
                wrong, last = low if low < 0 else high, self.output_shape[0] - 1
                return f"has the label {wrong}, but the model's {self.classes} outputs stand for 0 … {last}"
            case Loss.BINARY_CROSS_ENTROPY if -math.inf < low < 0 or 1 < high < math.inf:
                return f"has the label {low if low < 0 else high:g}, but BinaryCrossEntropy needs 0 … 1"
            case _:
                return None


_ELEMENTWISE: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    Loss.MEAN_SQUARED_ERROR: functional.mse_loss,
    Loss.BINARY_CROSS_ENTROPY: functional.binary_cross_entropy_with_logits,
}


def objective(loss: Loss, output_shape: tuple[int, ...], dtype: torch.dtype) -> Objective:
    """Create the objective for a loss and a model's output.

    Args:
        loss: The loss of the job.
        output_shape: Shape of the model's output for one sample.
        dtype: Type of the model's output.

    Raises:
        InputError: the loss cannot be computed from an output of this shape.
    """
    width = torch.Size(output_shape).numel()
    if loss is Loss.CROSS_ENTROPY:
        if len(output_shape) != 1 or width < 2:
            raise InputError.at(
                "spec.loss",
                "is CrossEntropy, which needs a model with one output for each of at least 2 classes, but "
                f"the output for a sample has the shape {list(output_shape)}",
            )
        return Objective(loss, output_shape, width, 1, torch.int64)
    binary = loss is Loss.BINARY_CROSS_ENTROPY and width == 1
    return Objective(loss, output_shape, 2 if binary else None, width, dtype)
