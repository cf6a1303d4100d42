"""Centralized: all data at one client, the baseline of training on pooled data."""

from typing import Final

import numpy as np

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import Schedule, draw_global_schedule
from pslgs.sampling.schedule_statistics import DataDistribution, EpochStatistics, uniform_statistics
from pslgs.sampling.strategy import Strategy
from pslgs.spec.training import Baseline, SamplingSpec


def _draw(holdings: Holdings, sampling: SamplingSpec, rng: np.random.Generator) -> Schedule:
    return draw_global_schedule(holdings.remaining, sampling.global_batch_size, rng)


def _expect(
    distribution: DataDistribution, batch_size: int, _: SamplingSpec, __: np.random.Generator
) -> EpochStatistics:
    return uniform_statistics(Baseline.CENTRALIZED, distribution, batch_size, 1.0, np.array([batch_size]))


STRATEGY: Final = Strategy(
    Baseline.CENTRALIZED.value, colour="ink", draw=_draw, expect=_expect, pools_data=True
)
