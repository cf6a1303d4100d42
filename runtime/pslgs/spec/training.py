"""How the samples of a global batch are drawn, how precisely is computed, and which weights are kept."""

from enum import StrEnum

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import BelowOne, Count, NotNegative, Positive, Seed


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


class Precision(StrEnum):
    """Number formats in which a part of the network computes."""

    FULL = "Full"
    BFLOAT16 = "BFloat16"


class PrecisionSpec(SpecModel):
    """The number formats in which the parts of the network compute."""

    client: Precision = Field(
        default=Precision.FULL,
        description="Precision of the client part. Full: that of its parameters. BFloat16: torch's autocast "
        "to bfloat16; parameters and gradients keep their type, and the smashed data are sent as "
        "transport.compression says.",
    )
    server: Precision = Field(
        default=Precision.FULL, description="Precision of the server part, as for the client part."
    )


class EmaSpec(SpecModel):
    """The exponential moving average of the weights."""

    decay: BelowOne | None = Field(
        default=None,
        description="Decay of the exponential moving average of the weights, such as 0.999: after each "
        "optimizer step, the average is multiplied by it, and 1 − decay of the weights is added. The average "
        "is evaluated and exported, and training goes on with the weights themselves. Without it, nothing is "
        "averaged.",
    )
