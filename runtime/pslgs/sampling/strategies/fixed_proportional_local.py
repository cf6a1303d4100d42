"""FixedProportionalLocal: local batches in proportion to the clients' data (FPLS of arXiv 2407.15738)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import FixedSchedule
from pslgs.sampling.schedule_statistics import DataDistribution, EpochStatistics, fixed_statistics
from pslgs.sampling.strategy import Strategy
from pslgs.spec.training import SamplingSpec, SamplingStrategy


def fixed_proportional_schedule(
    remaining: Sequence[int] | NDArray[np.int64], global_batch_size: int
) -> FixedSchedule:
    """Create the schedule of FPLS, b_k = max(1, round(B·N_k/N)), rounding half to even.

    Args:
        remaining: N_k, number of samples left at each client, not negative; shape (clients,).
        global_batch_size: B.
    """
    left = np.asarray(remaining, dtype=np.int64)
    shares = global_batch_size * left / max(1, left.sum())
    return FixedSchedule(left, np.maximum(1, np.round(shares).astype(np.int64)))


def _draw(holdings: Holdings, sampling: SamplingSpec, _: np.random.Generator) -> FixedSchedule:
    return fixed_proportional_schedule(holdings.remaining, sampling.global_batch_size)


def _expect(
    distribution: DataDistribution, batch_size: int, _: SamplingSpec, __: np.random.Generator
) -> EpochStatistics:
    schedule = fixed_proportional_schedule(distribution.sizes, batch_size)
    return fixed_statistics(SamplingStrategy.FIXED_PROPORTIONAL_LOCAL, distribution, batch_size, schedule)


STRATEGY: Final = Strategy(
    SamplingStrategy.FIXED_PROPORTIONAL_LOCAL.value,
    colour="three",
    draw=_draw,
    expect=_expect,
    least_local_batch=1,
)
