"""What is minimised, and how."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import BelowOne, Count, NotNegative, Positive, UpToOne


class Loss(StrEnum):
    """The loss, a mean over the global batch."""

    CROSS_ENTROPY = "CrossEntropy"
    MEAN_SQUARED_ERROR = "MeanSquaredError"
    BINARY_CROSS_ENTROPY = "BinaryCrossEntropy"


class OptimizerName(StrEnum):
    """The optimizer of both parts."""

    SGD = "SGD"
    ADAM = "Adam"
    ADAM_W = "AdamW"


class ScheduleName(StrEnum):
    """How the learning rate changes with the epochs."""

    CONSTANT = "Constant"
    COSINE = "Cosine"
    STEP = "Step"


class ScheduleSpec(SpecModel):
    """The course of the learning rate."""

    name: ScheduleName = Field(
        default=ScheduleName.CONSTANT,
        description="Constant; Cosine falls to 0 over all epochs; Step multiplies by factor every "
        "everyEpochs.",
    )
    every_epochs: Count = Field(default=30, description="Epochs between two falls (Step).")
    factor: UpToOne = Field(default=0.1, description="What a fall multiplies the learning rate by (Step).")


class OptimizerSpec(SpecModel):
    """The optimizer, applied to the client part and to the server part alike."""

    name: OptimizerName = Field(default=OptimizerName.SGD, description="The optimizer of both parts.")
    learning_rate: Positive = Field(default=0.01, description="Learning rate at the start.")
    momentum: BelowOne = Field(default=0.9, description="Momentum (SGD).")
    betas: tuple[BelowOne, ...] = Field(
        default=(0.9, 0.999),
        min_length=2,
        max_length=2,
        description="Decay of the first and of the second moment (Adam, AdamW).",
    )
    weight_decay: NotNegative = Field(
        default=0.0,
        description="Weight decay: added to the gradient (SGD, Adam), or decoupled from it (AdamW).",
    )
    schedule: ScheduleSpec = Field(default=ScheduleSpec(), description="The course of the learning rate.")

    def rules(self) -> Iterator[Violation]:
        """A setting of another optimizer would have no effect."""
        adaptive = self.name is not OptimizerName.SGD
        name = "momentum" if adaptive else "betas"
        if getattr(self, name) != OptimizerSpec.model_fields[name].default:
            yield Violation(name, f"does not go with the optimizer {self.name}; remove it")
