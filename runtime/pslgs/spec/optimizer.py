"""The optimizer of a job and the schedule of its learning rate."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import BelowOne, Count, CountOrZero, Flag, NotNegative, Positive, UpToOne


class OptimizerName(StrEnum):
    """Optimizers."""

    SGD = "SGD"
    ADAM = "Adam"
    ADAM_W = "AdamW"
    RMS_PROP = "RMSprop"


class ScheduleName(StrEnum):
    """Learning rate schedules."""

    CONSTANT = "Constant"
    COSINE = "Cosine"
    STEP = "Step"
    ONE_CYCLE = "OneCycle"
    REDUCE_ON_PLATEAU = "ReduceOnPlateau"


class ScheduleSpec(SpecModel):
    """The learning rate schedule."""

    name: ScheduleName = Field(
        default=ScheduleName.CONSTANT,
        description="How the learning rate changes. Constant: not at all. Cosine: it falls to 0 over all "
        "epochs, from epoch to epoch. Step: it is multiplied by factor every everyEpochs epochs. OneCycle: "
        "from step to step, it rises from a 25th of learningRate to learningRate and falls to a 250,000th of "
        "it, as torch.optim.lr_scheduler.OneCycleLR with cycle_momentum=False. ReduceOnPlateau: it is "
        "multiplied by factor after more than patience evaluations that were not better than the best one by "
        "at least a 10,000th of it: by their loss, or by spec.metric if that is given.",
    )
    every_epochs: Count = Field(
        default=30, description="Number of epochs between two changes of the learning rate (Step)."
    )
    factor: UpToOne = Field(
        default=0.1,
        description="Factor by which the learning rate is multiplied at each change (Step, ReduceOnPlateau).",
    )
    patience: CountOrZero = Field(
        default=10,
        description="Number of evaluations that are not better after which the learning rate stays as it is "
        "(ReduceOnPlateau).",
    )
    warmup_epochs: Positive | None = Field(
        default=None,
        description="Number of epochs, which may be a fraction, over which the learning rate rises from step "
        "to step from a hundredth of its value; the rest of the schedule is shifted by it. Without it, there "
        "is no warm-up, and OneCycle rises for 30 % of all epochs.",
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse settings of another schedule, because they would have no effect."""
        for name, schedules in SCHEDULES_WITH_OPTION.items():
            field = ScheduleSpec.model_fields[name]
            if self.name not in schedules and getattr(self, name) != field.default:
                yield Violation(field.alias or name, f"does not apply to the schedule {self.name}; remove it")


SCHEDULES_WITH_OPTION: Final[Mapping[str, tuple[ScheduleName, ...]]] = MappingProxyType(
    {
        "every_epochs": (ScheduleName.STEP,),
        "factor": (ScheduleName.STEP, ScheduleName.REDUCE_ON_PLATEAU),
        "patience": (ScheduleName.REDUCE_ON_PLATEAU,),
    }
)
"""Option of `ScheduleSpec` -> the schedules that it applies to, if these are not all."""


class OptimizerSpec(SpecModel):
    """The optimizer, applied to the client part and to the server part of the network."""

    name: OptimizerName = Field(default=OptimizerName.SGD, description="Name of the optimizer.")
    learning_rate: Positive = Field(
        default=0.01, description="Learning rate, which the schedule changes in the course of the training."
    )
    momentum: BelowOne = Field(default=0.9, description="Momentum factor (SGD, RMSprop).")
    nesterov: Flag = Field(
        default=False, description="Whether the momentum is Nesterov's (SGD). By default, it is not."
    )
    betas: tuple[BelowOne, ...] = Field(
        default=(0.9, 0.999),
        min_length=2,
        max_length=2,
        description="Decay rates of the running averages of the gradient and of its square (Adam, AdamW).",
    )
    alpha: BelowOne = Field(
        default=0.99, description="Decay rate of the running average of the gradient's square (RMSprop)."
    )
    weight_decay: NotNegative = Field(
        default=0.0,
        description="Weight decay coefficient: added to the gradient as an L2 penalty (SGD, Adam, RMSprop), "
        "or decoupled from the gradient (AdamW).",
    )
    clip_norm: Positive | None = Field(
        default=None,
        description="Maximum norm of the gradient of both parts together, the sum over all clients included; "
        "a larger gradient is scaled down to it before the optimizer step. Without it, gradients are not "
        "clipped.",
    )
    clip_value: Positive | None = Field(
        default=None,
        description="Maximum absolute value of an element of the gradient; larger ones are cut down to it "
        "before the optimizer step. Without it, gradients are not clipped.",
    )
    accumulate: Count = Field(
        default=1,
        description="Number of global batches in an optimizer step, whose gradient is the mean over all "
        "their samples; the last step of an epoch may have fewer. If a client is lost, the global batch in "
        "progress is drawn again, and those before it still count. By default, each global batch is an "
        "optimizer step.",
    )
    schedule: ScheduleSpec = Field(default=ScheduleSpec(), description="The learning rate schedule.")

    def rules(self) -> Iterator[Violation]:
        """Refuse settings that would have no effect."""
        for name, optimizers in OPTIMIZERS_WITH_OPTION.items():
            field = OptimizerSpec.model_fields[name]
            if self.name not in optimizers and getattr(self, name) != field.default:
                yield Violation(
                    field.alias or name, f"does not apply to the optimizer {self.name}; remove it"
                )
        if self.name is OptimizerName.SGD and self.nesterov and not self.momentum:
            yield Violation("nesterov", NO_MOMENTUM)
        if self.clip_norm is not None and self.clip_value is not None:
            yield Violation("clipValue", CLIPPED_TWICE)


OPTIMIZERS_WITH_OPTION: Final[Mapping[str, tuple[OptimizerName, ...]]] = MappingProxyType(
    {
        "momentum": (OptimizerName.SGD, OptimizerName.RMS_PROP),
        "nesterov": (OptimizerName.SGD,),
        "betas": (OptimizerName.ADAM, OptimizerName.ADAM_W),
        "alpha": (OptimizerName.RMS_PROP,),
    }
)
"""Option of `OptimizerSpec` -> the optimizers that it applies to, if these are not all."""

NO_MOMENTUM: Final = "is true, which needs a momentum above 0; set momentum or remove it"
CLIPPED_TWICE: Final = "cannot be combined with clipNorm; remove either"
NO_EVALUATION: Final = "is ReduceOnPlateau, which needs evaluations; give data.evaluation"
EPOCHS_OF_SCHEDULES: Final = (ScheduleName.COSINE, ScheduleName.ONE_CYCLE)
"""Schedules whose learning rates depend on the number of epochs of the job."""
