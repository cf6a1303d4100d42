"""Training settings: loss, optimizer and sampling strategy."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import BelowOne, Count, NotNegative, Positive, Seed, UpToOne


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


class SamplingStrategy(StrEnum):
    """Strategies that determine how many samples each client contributes to a step."""

    GLOBAL = "Global"
    FIXED_LOCAL = "FixedLocal"
    FIXED_PROPORTIONAL_LOCAL = "FixedProportionalLocal"
    LATENT_DIRICHLET = "LatentDirichlet"


class Baseline(StrEnum):
    """Strategies that only simulations know, to be compared with; a manifest cannot name them."""

    CENTRALIZED = "Centralized"
    SEQUENTIAL_SPLIT = "SequentialSplit"
    FEDERATED_AVERAGING = "FederatedAveraging"


class LatentDirichletSpec(SpecModel):
    """Settings of the strategy LatentDirichlet (arXiv 2407.15738v2)."""

    sample_size: Count = Field(
        default=1000,
        description="Number of labels drawn from the pooled data to estimate the mixing weights (S).",
    )
    concentration: Positive = Field(
        default=1.0,
        description="Weight of the Dirichlet prior (c). With 1, the mixing weights have the variance of the "
        "clients' shares under the strategy Global.",
    )
    delay_weight: NotNegative = Field(
        default=0.0,
        description="Weight of the clients' response times (δ): the larger, the more samples slow clients "
        "contribute early in an epoch. With 0, response times are ignored.",
    )


class SamplingSpec(SpecModel):
    """How the samples of a global batch are drawn from the clients."""

    strategy: SamplingStrategy = Field(
        default=SamplingStrategy.GLOBAL,
        description="How many samples each client contributes to a step. Global: each global batch is drawn "
        "uniformly from the pooled data of all clients. FixedLocal: every client contributes the same number "
        "until its data are used up. FixedProportionalLocal: every client contributes in proportion to the "
        "size of its data. LatentDirichlet: as Global, but slow clients contribute earlier in an epoch.",
    )
    global_batch_size: Count = Field(
        default=128, description="Number of samples in a step, over all clients together."
    )
    seed: Seed = Field(default=0, description="Seed of all random numbers of the job.")
    latent_dirichlet: LatentDirichletSpec = Field(
        default=LatentDirichletSpec(), description="Settings of the strategy LatentDirichlet."
    )
