"""The loss, the optimizer and the learning rate schedule."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import BelowOne, Count, NotNegative, Positive, UpToOne


class Loss(StrEnum):
    """Loss functions, averaged over the global batch."""

    CROSS_ENTROPY = "CrossEntropy"
    MEAN_SQUARED_ERROR = "MeanSquaredError"
    BINARY_CROSS_ENTROPY = "BinaryCrossEntropy"


class OptimizerName(StrEnum):
    """Optimizers."""

    SGD = "SGD"
    ADAM = "Adam"
    ADAM_W = "AdamW"


class ScheduleName(StrEnum):
    """Learning rate schedules."""

    CONSTANT = "Constant"
    COSINE = "Cosine"
    STEP = "Step"


class ScheduleSpec(SpecModel):
    """The learning rate schedule."""

    name: ScheduleName = Field(
        default=ScheduleName.CONSTANT,
        description="How the learning rate changes from epoch to epoch. Constant: not at all. Cosine: it "
        "falls to 0 over all epochs. Step: it is multiplied by factor every everyEpochs epochs.",
    )
    every_epochs: Count = Field(
        default=30, description="Number of epochs between two changes of the learning rate (Step)."
    )
    factor: UpToOne = Field(
        default=0.1, description="Factor by which the learning rate is multiplied at each change (Step)."
    )


class OptimizerSpec(SpecModel):
    """The optimizer, applied to the client part and to the server part of the network."""

    name: OptimizerName = Field(default=OptimizerName.SGD, description="Name of the optimizer.")
    learning_rate: Positive = Field(default=0.01, description="Initial learning rate.")
    momentum: BelowOne = Field(default=0.9, description="Momentum factor (SGD).")
    betas: tuple[BelowOne, ...] = Field(
        default=(0.9, 0.999),
        min_length=2,
        max_length=2,
        description="Decay rates of the running averages of the gradient and of its square (Adam, AdamW).",
    )
    weight_decay: NotNegative = Field(
        default=0.0,
        description="Weight decay coefficient: added to the gradient as an L2 penalty (SGD, Adam), or "
        "decoupled from the gradient (AdamW).",
    )
    schedule: ScheduleSpec = Field(default=ScheduleSpec(), description="The learning rate schedule.")

    def rules(self) -> Iterator[Violation]:
        """Refuse settings of another optimizer, because they would have no effect."""
        adaptive = self.name is not OptimizerName.SGD
        name = "momentum" if adaptive else "betas"
        if getattr(self, name) != OptimizerSpec.model_fields[name].default:
            yield Violation(name, f"does not apply to the optimizer {self.name}; remove it")
