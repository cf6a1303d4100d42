"""The objective of a training: loss, form of the labels, and correct predictions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from pslgs.spec.errors import InputError
from pslgs.spec.loss import ClassWeighting, LabelKind, Loss, LossOptions
from pslgs.training.losses import (
    ENTRYPOINT,
    balanced_weights,
    binary_cross_entropy,
    cross_entropy,
    custom_loss,
)


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a training, with its requirements on outputs and labels.

    Attributes:
        loss: The loss of the job.
        output_shape: Shape of the model's output for one sample.
        classes: Number of classes, M; None if labels are not classes.
        label_width: Number of elements in a label; labels of a batch have the shape (B, label_width).
        label_dtype: Type of the labels: int64 for class numbers, otherwise the type of the outputs.
        options: Options of the loss.
        class_weights: Weight of each class; None for equal weights.
        positive_weight: Weight of the positive labels.
    """

    loss: Loss
    output_shape: tuple[int, ...]
    classes: int | None
    label_width: int
    label_dtype: torch.dtype
    options: LossOptions = field(default_factory=LossOptions)
    class_weights: tuple[float, ...] | None = None
    positive_weight: float = 1.0

    def mean_loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, averaged over the batch, as a scalar tensor.

        Args:
            outputs: Shape (B, *output_shape).
            labels: Shape (B, label_width).
        """
        match self.loss:
            case Loss.CROSS_ENTROPY:
                weights = None if self.class_weights is None else outputs.new_tensor(self.class_weights)
                return cross_entropy(outputs, labels[:, 0], self.options, weights)
            case Loss.BINARY_CROSS_ENTROPY:
                weight = None if self.positive_weight == 1 else outputs.new_tensor([self.positive_weight])
                return binary_cross_entropy(outputs.reshape(labels.shape), labels, self.options, weight)
            case Loss.MEAN_SQUARED_ERROR:
                return functional.mse_loss(outputs.reshape(labels.shape), labels)
            case Loss.HUBER:
                return functional.huber_loss(outputs.reshape(labels.shape), labels, delta=self.options.delta)
            case Loss.CUSTOM:
                wanted = labels[:, 0] if self.label_dtype == torch.int64 else labels.reshape(outputs.shape)
                return custom_loss(self.options.entrypoint or "", outputs, wanted)

    def weight(self, labels: Tensor) -> float:
        """Return the weight of a batch's mean loss among other batches: its samples, or their weights.

        The mean loss of several batches together is the mean of theirs with these weights.

        Args:
            labels: Shape (B, label_width).
        """
        if self.loss is not Loss.CROSS_ENTROPY or self.class_weights is None:
            return float(len(labels))
        weights = torch.tensor(self.class_weights, dtype=torch.float64)
        return float(weights[labels[:, 0].cpu()].sum())

    def balanced(self, counts: Sequence[int]) -> "Objective":
        """Return the objective with weights from the samples of each class, if it is to have such.

        Args:
            counts: Samples of each class in the training data of all clients.
        """
        if self.options.class_weighting is not ClassWeighting.BALANCED:
            return self
        weights = balanced_weights(counts)
        if self.loss is Loss.BINARY_CROSS_ENTROPY:
            return replace(self, positive_weight=weights[1] / weights[0])
        return replace(self, class_weights=tuple(weights))

    def correct(self, outputs: Tensor, labels: Tensor) -> int | None:
        """Return the number of samples whose class is predicted; None if labels are not classes."""
        match self.loss:
            case Loss.CROSS_ENTROPY | Loss.CUSTOM if self.label_dtype == torch.int64:
                finite = outputs.isfinite().all(dim=1)  # NaN would count as the largest output
                return int(((outputs.argmax(dim=1) == labels[:, 0]) & finite).sum())
            case Loss.BINARY_CROSS_ENTROPY if self.classes:
                logits = outputs.reshape(labels.shape)
                return int((((logits > 0) == (labels > 0.5)) & logits.isfinite()).sum())
            case _:
                return None

    def as_labels(self, labels: Tensor) -> Tensor:
        """Convert the labels of a dataset, shape (B,) or (B, targets), to shape (B, label_width).

        Where labels are class numbers, rows are one-hot; see `pslgs.training.dataset_check`.
        """
        rows = labels.unsqueeze(1) if labels.dim() == 1 else labels.flatten(1)
        if self.label_dtype == torch.int64 and rows.shape[1] > 1:
            rows = rows.argmax(dim=1, keepdim=True)
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
        low, high = (extreme.item() for extreme in torch.aminmax(labels))
        match self.loss:
            case Loss.CROSS_ENTROPY | Loss.CUSTOM if self.classes and (low < 0 or high >= self.classes):
                wrong, last = low if low < 0 else high, self.output_shape[0] - 1
                return f"has the label {wrong}, but the model's {self.classes} outputs stand for 0 … {last}"
            case Loss.BINARY_CROSS_ENTROPY if -math.inf < low < 0 or 1 < high < math.inf:
                return f"has the label {low if low < 0 else high:g}, but BinaryCrossEntropy needs 0 … 1"
            case _:
                return None


def objective(
    loss: Loss, output_shape: tuple[int, ...], dtype: torch.dtype, options: LossOptions | None = None
) -> Objective:
    """Create the objective for a loss and a model's output.

    Args:
        loss: The loss of the job.
        output_shape: Shape of the model's output for one sample.
        dtype: Type of the model's output.
        options: Options of the loss; None for the defaults.

    Raises:
        InputError: the loss cannot be computed from an output of this shape.
    """
    options = options or LossOptions()
    width = torch.Size(output_shape).numel()
    if loss is Loss.CROSS_ENTROPY or (loss is Loss.CUSTOM and options.labels is LabelKind.CLASSES):
        return _for_classes(loss, output_shape, options)
    binary = loss is Loss.BINARY_CROSS_ENTROPY and width == 1
    if options.class_weighting is ClassWeighting.BALANCED and not binary:
        raise InputError.at(
            "spec.lossOptions.classWeighting",
            f"is Balanced, but the {width} outputs of the model are no classes that exclude each other; "
            "give positiveWeight",
        )
    classes = 2 if binary else None
    return Objective(
        loss, output_shape, classes, width, dtype, options, positive_weight=options.positive_weight
    )


def _for_classes(loss: Loss, output_shape: tuple[int, ...], options: LossOptions) -> Objective:
    """Create the objective for labels that are class numbers."""
    classes = torch.Size(output_shape).numel()
    if len(output_shape) != 1 or classes < 2:
        raise InputError.at(
            "spec.loss",
            f"is {loss}, which needs a model with one output for each of at least 2 classes, but "
            f"the output for a sample has the shape {list(output_shape)}",
        )
    weights = options.class_weights
    if weights is not None and len(weights) != classes:
        raise InputError.at(
            "spec.lossOptions.classWeights",
            f"has {len(weights)} weights, but the model has {classes} outputs; give one for each class",
        )
    return Objective(loss, output_shape, classes, 1, torch.int64, options, weights)


def check_custom_loss(objective: Objective, dtype: torch.dtype) -> None:
    """Call a user's loss function once with outputs of zeros, as the server does in training.

    Args:
        objective: The objective.
        dtype: Type of the model's output.

    Raises:
        InputError: the function cannot be used.
    """
    if objective.loss is not Loss.CUSTOM:
        return
    outputs = torch.zeros(2, *objective.output_shape, dtype=dtype, requires_grad=True)
    labels = torch.zeros(2, objective.label_width, dtype=objective.label_dtype)
    if not objective.mean_loss(outputs, labels).requires_grad:
        raise InputError.at(ENTRYPOINT, "returned a loss that does not depend on the outputs")
