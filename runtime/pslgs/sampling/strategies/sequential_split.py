"""SequentialSplit: one client after another, the baseline of split learning that is not parallel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import LocalBatches, Schedule, chunk_of
from pslgs.sampling.strategy import Strategy
from pslgs.spec.training import Baseline, SamplingSpec


@dataclass(frozen=True, slots=True, eq=False)
class SequentialSchedule(Schedule):
    """Schedule of sequential split learning: one client after another, in batches of its own samples.

    Attributes:
        remaining: Number of samples at each client; shape (clients,).
        ends: Number of steps up to and including the last one of each client; shape (clients,).
    """

    remaining: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @override
    def local_batches(self, step: int) -> LocalBatches:
        client = int(np.searchsorted(self.ends, step, side="right"))
        first = int(self.ends[client - 1]) if client else 0
        start, stop = chunk_of(step - first, int(self.remaining[client]), int(self.ends[client]) - first)
        return LocalBatches(np.array([client]), np.array([stop - start]))


def sequential_schedule(remaining: Sequence[int] | NDArray[np.int64], batch_size: int) -> SequentialSchedule:
    """Create the schedule of sequential split learning: ⌈N_k/B⌉ batches of each client, in their order.

    Args:
        remaining: N_k, number of samples left at each client, not negative; shape (clients,).
        batch_size: B, maximum number of samples in a batch.
    """
    left = np.asarray(remaining, dtype=np.int64)
    return SequentialSchedule(left, np.cumsum(-(-left // batch_size)))


def _draw(holdings: Holdings, sampling: SamplingSpec, _: np.random.Generator) -> SequentialSchedule:
    return sequential_schedule(holdings.remaining, sampling.global_batch_size)


STRATEGY: Final = Strategy(Baseline.SEQUENTIAL_SPLIT.value, colour="five", draw=_draw)
