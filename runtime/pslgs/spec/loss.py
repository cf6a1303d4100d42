"""The loss function of a job and its options."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import BelowOne, Entrypoint, NotNegative, Positive

MAX_CLASSES_WITH_WEIGHTS: Final = 10_000


class Loss(StrEnum):
    """Loss functions, averaged over the global batch."""

    CROSS_ENTROPY = "CrossEntropy"
    MEAN_SQUARED_ERROR = "MeanSquaredError"
    BINARY_CROSS_ENTROPY = "BinaryCrossEntropy"
    HUBER = "Huber"
    CUSTOM = "Custom"


class ClassWeighting(StrEnum):
    """How the classes are weighted in the loss."""

    NONE = "None"
    BALANCED = "Balanced"


class LabelKind(StrEnum):
    """What the labels are that a user's loss function gets."""

    CLASSES = "Classes"
    VALUES = "Values"


class LossOptions(SpecModel):
    """Options of the loss function."""

    label_smoothing: BelowOne = Field(
        default=0.0,
        description="Share of each label that is spread evenly over all classes (CrossEntropy), as in "
        "torch.nn.CrossEntropyLoss. By default, labels are not smoothed.",
    )
    class_weights: tuple[Positive, ...] | None = Field(
        default=None,
        min_length=2,
        max_length=MAX_CLASSES_WITH_WEIGHTS,
        description="Weight of each class, in the order of the classes (CrossEntropy). The loss is the "
        "weighted mean over the global batch, as in torch.nn.CrossEntropyLoss. By default, all samples have "
        "the same weight.",
    )
    class_weighting: ClassWeighting = Field(
        default=ClassWeighting.NONE,
        description="Weights that are computed from the number of samples of each class at all clients "
        "(CrossEntropy, BinaryCrossEntropy with one output). None: there are none. Balanced: samples / "
        "(classes · samples of the class); for BinaryCrossEntropy, positiveWeight is negative / positive "
        "samples. They are computed once, from the clients that are there when training starts; clients that "
        "join later do not change them. A class without samples at that time gets the largest weight of the "
        "others.",
    )
    positive_weight: Positive = Field(
        default=1.0,
        description="Weight of the positive labels relative to the negative ones (BinaryCrossEntropy), as "
        "pos_weight in torch.nn.BCEWithLogitsLoss.",
    )
    focal_gamma: NotNegative = Field(
        default=0.0,
        description="Focusing parameter γ of the focal loss (arXiv 1708.02002): the loss of a sample is "
        "multiplied by (1 − p)^γ, where p is the predicted probability of its label (CrossEntropy, "
        "BinaryCrossEntropy). 0 is the loss without focus.",
    )
    delta: Positive = Field(
        default=1.0,
        description="Error at which the loss changes from quadratic to linear (Huber), as in "
        "torch.nn.HuberLoss.",
    )
    entrypoint: Entrypoint | None = Field(
        default=None,
        description="Loss function of yours as package.module:function (Custom). It gets the outputs and the "
        "labels of a whole batch and returns their mean loss, a tensor with one element. It is called at the "
        "server only.",
        examples=["hospital.losses:dice"],
    )
    labels: LabelKind = Field(
        default=LabelKind.CLASSES,
        description="What the labels are that a loss function of yours gets (Custom). Classes: numbers of "
        "classes, one for each sample, as for CrossEntropy. Values: numbers in the shape of the outputs, as "
        "for MeanSquaredError.",
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse weights that are given twice, and smoothed labels in the focal loss."""
        if self.class_weighting is not ClassWeighting.NONE:
            if self.class_weights is not None:
                yield Violation("classWeights", WEIGHTED_TWICE)
            if self.positive_weight != 1:
                yield Violation("positiveWeight", WEIGHTED_TWICE)
        if self.label_smoothing and self.focal_gamma:
            yield Violation("labelSmoothing", NOT_SMOOTHED)


WEIGHTED_TWICE: Final = "is given, but classWeighting computes the weights; remove either"
NOT_SMOOTHED: Final = "cannot be combined with focalGamma, which needs one probability a label; remove either"

LOSSES_WITH_OPTION: Final[Mapping[str, tuple[Loss, ...]]] = MappingProxyType(
    {
        "label_smoothing": (Loss.CROSS_ENTROPY,),
        "class_weights": (Loss.CROSS_ENTROPY,),
        "class_weighting": (Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY),
        "positive_weight": (Loss.BINARY_CROSS_ENTROPY,),
        "focal_gamma": (Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY),
        "delta": (Loss.HUBER,),
        "entrypoint": (Loss.CUSTOM,),
        "labels": (Loss.CUSTOM,),
    }
)
"""Option of `LossOptions` -> the losses that it applies to."""


def loss_violations(loss: Loss, options: LossOptions) -> Iterator[Violation]:
    """Yield the options that have no effect on the loss, and the function that is missing.

    Paths are relative to the job's spec.
    """
    for name, losses in LOSSES_WITH_OPTION.items():
        field = LossOptions.model_fields[name]
        if loss not in losses and getattr(options, name) != field.default:
            yield Violation(f"lossOptions.{field.alias}", f"does not apply to the loss {loss}; remove it")
    if loss is Loss.CUSTOM and options.entrypoint is None:
        yield Violation("lossOptions.entrypoint", "is missing; the loss Custom needs it")


def has_classes(loss: Loss, options: LossOptions) -> bool:
    """Return whether the loss has labels that may be classes."""
    if loss is Loss.CUSTOM:
        return options.labels is LabelKind.CLASSES
    return loss in {Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY}
