"""FixedLocal: the same local batch at every client (FLS of arXiv 2407.15738)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import FixedSchedule
from pslgs.sampling.schedule_statistics import DataDistribution, EpochStatistics, fixed_statistics
from pslgs.sampling.strategy import Strategy
from pslgs.spec.training import SamplingSpec, SamplingStrategy


def fixed_local_schedule(
    remaining: Sequence[int] | NDArray[np.int64], global_batch_size: int
) -> FixedSchedule:
    """Create the schedule of FLS, b_k = max(1, round(B/K)) for K clients with samples.

    Args:
        remaining: Number of samples left at each client, not negative; shape (clients,).
        global_batch_size: B.
    """
    left = np.asarray(remaining, dtype=np.int64)
    share = global_batch_size / max(1, int(np.count_nonzero(left)))
    sizes = np.full(len(left), max(1, round(share)), dtype=np.int64)
    return FixedSchedule(left, sizes)


def _draw(holdings: Holdings, sampling: SamplingSpec, _: np.random.Generator) -> FixedSchedule:
    return fixed_local_schedule(holdings.remaining, sampling.global_batch_size)


def _expect(
    distribution: DataDistribution, batch_size: int, _: SamplingSpec, __: np.random.Generator
) -> EpochStatistics:
    schedule = fixed_local_schedule(distribution.sizes, batch_size)
    return fixed_statistics(SamplingStrategy.FIXED_LOCAL, distribution, batch_size, schedule)


STRATEGY: Final = Strategy(
    SamplingStrategy.FIXED_LOCAL.value, colour="two", draw=_draw, expect=_expect, least_local_batch=1
)
