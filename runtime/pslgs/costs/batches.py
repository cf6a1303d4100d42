"""What each sampling strategy makes of an epoch: steps, active clients, local batches, batch deviation."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pslgs.costs.epochs import drawn_figures, fixed_figures
from pslgs.costs.inputs import Distribution
from pslgs.costs.result import StrategyFigures
from pslgs.sampling.deviation import deviation_bound, expected_deviation
from pslgs.sampling.holdings import Holdings
from pslgs.sampling.latent_dirichlet import latent_dirichlet_schedule
from pslgs.sampling.quality import CONFIDENCE
from pslgs.sampling.schedule import fixed_local_schedule, fixed_proportional_schedule
from pslgs.spec.sampling import SamplingSpec, SamplingStrategy

CENTRALIZED: Final = "Centralized"
_DRAWS: Final = 64
_MOST_DRAWN: Final = 10_000_000  # steps times clients of an epoch, some seconds


def strategy_figures(
    distribution: Distribution, batch_size: int, sampling: SamplingSpec, rng: np.random.Generator
) -> tuple[StrategyFigures, ...]:
    """Work out all strategies, the yardstick last.

    LatentDirichlet, of which an epoch is drawn with clients that are equally fast, is left out where that
    would take long and the job does not want it.

    Args:
        distribution: Who holds what.
        batch_size: B, at most N.
        sampling: What the job says.
        rng: Source of the draws.
    """
    sizes = distribution.sizes
    active = active_clients_of_epoch(sizes, batch_size)
    largest = largest_local_batches(sizes, batch_size, rng)
    fixed = {
        SamplingStrategy.FIXED_LOCAL: fixed_local_schedule(sizes, batch_size),
        SamplingStrategy.FIXED_PROPORTIONAL_LOCAL: fixed_proportional_schedule(sizes, batch_size),
    }
    return (
        uniform_figures(SamplingStrategy.GLOBAL, distribution, batch_size, active, largest),
        *(fixed_figures(name, distribution, batch_size, each) for name, each in fixed.items()),
        *_latent_dirichlet(distribution, batch_size, sampling, rng),
        uniform_figures(CENTRALIZED, distribution, batch_size, 1.0, np.array([batch_size])),
    )


def _latent_dirichlet(
    distribution: Distribution, batch_size: int, sampling: SamplingSpec, rng: np.random.Generator
) -> Iterator[StrategyFigures]:
    name, clients = SamplingStrategy.LATENT_DIRICHLET, len(distribution.sizes)
    if sampling.strategy is name or clients * distribution.samples // batch_size <= _MOST_DRAWN:
        held = Holdings.of_sizes(distribution.sizes)
        if distribution.label_counts is not None:
            held = replace(held, label_counts=distribution.label_counts)
        schedule = latent_dirichlet_schedule(held, batch_size, sampling.latent_dirichlet, rng)
        yield drawn_figures(name, distribution, batch_size, schedule)


def uniform_figures(
    strategy: str, distribution: Distribution, batch_size: int, active: float, largest: NDArray[np.int64]
) -> StrategyFigures:
    """Describe batches that are uniform draws without replacement from the pooled data.

    Args:
        strategy: Its name.
        distribution: Who holds what.
        batch_size: B, at most N.
        active: Active clients of a step, expected.
        largest: The largest local batch of some steps.
    """
    samples, counts = distribution.samples, distribution.label_counts
    steps = -(-samples // batch_size)
    expected = bound = bias = None
    if counts is not None:
        size = round(samples / steps)
        expected = expected_deviation(counts.sum(axis=0) / samples, size, samples)
        bound = deviation_bound(counts.shape[1], size, samples, CONFIDENCE)
        bias = 0.0
    return StrategyFigures(
        strategy,
        steps,
        batch_size=samples / steps,
        active_clients=active,
        largest_local_batch=float(largest.mean()),
        peak_local_batch=int(largest.max()),
        deviation=expected,
        deviation_at_end=expected,
        deviation_bound=bound,
        bias=bias,
        small_steps=0.0,
    )


def active_clients_of_epoch(sizes: NDArray[np.int64], batch_size: int) -> float:
    """Return E|A|, mean over the ⌈N/B⌉ batches of an epoch, whose sizes differ by at most one."""
    samples = int(sizes.sum())
    steps = -(-samples // batch_size)
    smaller, larger_ones = divmod(samples, steps)
    total = (steps - larger_ones) * active_clients(sizes, smaller)
    if larger_ones:
        total += larger_ones * active_clients(sizes, smaller + 1)
    return total / steps


def active_clients(sizes: NDArray[np.int64], batch_size: int) -> float:
    """Return E|A| = Σ_k 1 − C(N−N_k, B) / C(N, B) of a batch of B drawn without replacement from N."""
    samples = int(sizes.sum())
    distinct, clients = np.unique(sizes, return_counts=True)
    missed = [_miss_probability(samples, int(held), batch_size) for held in distinct]
    return float(clients @ (1 - np.array(missed)))


def largest_local_batches(
    sizes: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return max_k b_k of some batches of B drawn without replacement; shape (draws,)."""
    draws = rng.multivariate_hypergeometric(sizes, batch_size, size=_DRAWS, method="marginals")
    largest: NDArray[np.int64] = draws.max(axis=1)
    return largest


def _miss_probability(samples: int, held: int, batch_size: int) -> float:
    """Return C(N−N_k, B) / C(N, B), by logarithms of factorials."""
    others = samples - held
    if batch_size > others:
        return 0.0
    return math.exp(
        math.lgamma(others + 1)
        - math.lgamma(others - batch_size + 1)
        - math.lgamma(samples + 1)
        + math.lgamma(samples - batch_size + 1)
    )
