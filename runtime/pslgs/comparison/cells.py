"""The cells of a comparison: one simulation each."""

from typing import NamedTuple

from pslgs.comparison.options import DELAY_WEIGHTS, ComparisonOptions
from pslgs.simulation.choices import SimulatedStrategy
from pslgs.spec.errors import InputError


class Cell(NamedTuple):
    """A strategy with a seed.

    Attributes:
        strategy: That draws the batches.
        seed: Of everything random.
        delay_weight: δ, where only LatentDirichlet's batches are looked at; None in the comparison itself.
    """

    strategy: SimulatedStrategy
    seed: int
    delay_weight: float | None = None

    @property
    def name(self) -> str:
        """Its own among all cells; a file's name."""
        delay_weight = "" if self.delay_weight is None else f"-delay-weight-{self.delay_weight:g}"
        return f"{self.strategy}{delay_weight}-seed-{self.seed}"


def cells_of(options: ComparisonOptions) -> list[Cell]:
    """List all cells, those of one seed together, so that strategies can be compared early.

    Raises:
        InputError: a strategy is named twice, or has no schedule though that is all that is wanted.
    """
    strategies = list(options.strategies)
    if len(set(strategies)) < len(strategies):
        raise InputError.at("--strategies", f"names one twice: {', '.join(strategies)}; remove it")
    if options.schedule_only and SimulatedStrategy.FEDERATED_AVERAGING in strategies:
        raise InputError.at(
            "--strategies", "names FederatedAveraging, which has no schedule; leave it out, or train"
        )
    compared = [Cell(strategy, seed) for seed in options.seeds for strategy in strategies]
    return [*compared, *_curve(options)]


def _curve(options: ComparisonOptions) -> list[Cell]:
    """List the cells that tell LatentDirichlet's time and deviation over δ; without links there's no time."""
    strategy = SimulatedStrategy.LATENT_DIRICHLET
    if options.profile is None or strategy not in options.strategies:
        return []
    return [Cell(strategy, seed, weight) for weight in DELAY_WEIGHTS for seed in options.seeds]
