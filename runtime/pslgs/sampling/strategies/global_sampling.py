"""Global: batches drawn uniformly, without replacement, from the pooled data (arXiv 2407.15738)."""

from typing import Final

import numpy as np

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import Schedule, draw_global_schedule
from pslgs.sampling.schedule_statistics import (
    DataDistribution,
    EpochStatistics,
    active_clients_of_epoch,
    largest_local_batches,
    uniform_statistics,
)
from pslgs.sampling.strategy import Strategy
from pslgs.spec.training import SamplingSpec, SamplingStrategy


def _draw(holdings: Holdings, sampling: SamplingSpec, rng: np.random.Generator) -> Schedule:
    return draw_global_schedule(holdings.remaining, sampling.global_batch_size, rng)


def _expect(
    distribution: DataDistribution, batch_size: int, _: SamplingSpec, rng: np.random.Generator
) -> EpochStatistics:
    active = active_clients_of_epoch(distribution.sizes, batch_size)
    largest = largest_local_batches(distribution.sizes, batch_size, rng)
    return uniform_statistics(SamplingStrategy.GLOBAL, distribution, batch_size, active, largest)


STRATEGY: Final = Strategy(
    SamplingStrategy.GLOBAL.value, colour="one", draw=_draw, expect=_expect, allocates=True
)
