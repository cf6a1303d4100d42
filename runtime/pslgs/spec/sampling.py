"""How global batches are drawn."""

from enum import StrEnum

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import Count, NotNegative, Positive, Seed


class SamplingStrategy(StrEnum):
    """Who contributes how many samples to a step."""

    GLOBAL = "Global"
    FIXED_LOCAL = "FixedLocal"
    FIXED_PROPORTIONAL_LOCAL = "FixedProportionalLocal"
    LATENT_DIRICHLET = "LatentDirichlet"


class LatentDirichletSpec(SpecModel):
    """The settings of the strategy LatentDirichlet (arXiv 2407.15738v2)."""

    sample_size: Count = Field(default=1000, description="Labels drawn from the pool for an estimate (S).")
    concentration: Positive = Field(
        default=1.0, description="Weight of the prior; 1 has the variance of Global (c)."
    )
    delay_weight: NotNegative = Field(
        default=0.0, description="How strongly slow clients are drained early; 0 ignores delays (δ)."
    )


class SamplingSpec(SpecModel):
    """How global batches are drawn."""

    strategy: SamplingStrategy = Field(
        default=SamplingStrategy.GLOBAL,
        description="Global draws each batch uniformly from the pooled data. FixedLocal and "
        "FixedProportionalLocal: every client contributes the same number, or one in proportion to its data, "
        "until it is dry. LatentDirichlet drains slow clients early.",
    )
    global_batch_size: Count = Field(default=128, description="Samples of all clients together in a step.")
    seed: Seed = Field(default=0, description="Seed of everything random in the job.")
    latent_dirichlet: LatentDirichletSpec = Field(
        default=LatentDirichletSpec(), description="Settings of the strategy LatentDirichlet."
    )
