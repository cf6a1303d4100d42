"""Batch schedules: the local batch size of each client in each step of an epoch (arXiv 2407.15738)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from pslgs.sampling.pool import Pool, shuffled_pool


@dataclass(frozen=True, slots=True, eq=False)
class LocalBatches:
    """The active clients of one step and their local batch sizes.

    Attributes:
        clients: Indices of the active clients, ascending; shape (active,).
        sizes: Local batch sizes of these clients, all positive; shape (active,).
    """

    clients: NDArray[np.int64]
    sizes: NDArray[np.int64]


class Schedule(Protocol):
    """The global batches of an epoch, or of the rest of one."""

    def __len__(self) -> int:
        """Return the number of steps."""
        ...

    def local_batches(self, step: int) -> LocalBatches:
        """Return the active clients of a step and their local batch sizes; 0 ≤ step < len."""
        ...


def chunk_of(step: int, samples: int, steps: int) -> tuple[int, int]:
    """Return start and stop of chunk ``step`` when ``samples`` are divided into ``steps`` chunks.

    The sizes of the chunks differ by at most one.
    """
    return step * samples // steps, (step + 1) * samples // steps


@dataclass(frozen=True, slots=True, eq=False)
class GlobalSchedule(Schedule):
    """Global batches drawn uniformly and without replacement from the pooled samples.

    Attributes:
        pool: Client index of each remaining sample, in random order; shape (samples,).
        steps: Number of chunks into which the pool is divided.
    """

    pool: Pool
    steps: int

    def __len__(self) -> int:
        return self.steps

    @override
    def local_batches(self, step: int) -> LocalBatches:
        start, stop = chunk_of(step, len(self.pool), self.steps)
        clients, sizes = np.unique(self.pool[start:stop], return_counts=True)
        return LocalBatches(clients.astype(np.int64), sizes.astype(np.int64))


def draw_global_schedule(
    remaining: Sequence[int] | NDArray[np.int64], global_batch_size: int, rng: np.random.Generator
) -> GlobalSchedule:
    """Draw the schedule of global sampling over the remaining samples.

    Client k occurs in the shuffled pool once for each of its samples, and the pool is divided into
    T = ⌈N/B⌉ chunks whose sizes differ by at most one.  Given the samples that are left at the clients,
    the local batch sizes of a step follow a multivariate hypergeometric distribution.  Every sample is
    used exactly once.

    Args:
        remaining: Number of samples left at each client, not negative; shape (clients,).
        global_batch_size: B, maximum number of samples in a batch.
        rng: Random number generator.

    Raises:
        ValueError: the global batch size is below 1.
    """
    if global_batch_size < 1:
        raise ValueError(f"the global batch size is {global_batch_size}, must be at least 1")
    pool = shuffled_pool(np.asarray(remaining, dtype=np.int64), rng)
    return GlobalSchedule(pool, steps=-(-len(pool) // global_batch_size))


@dataclass(frozen=True, slots=True, eq=False)
class FixedSchedule(Schedule):
    """Local batches of fixed size: a client contributes b_k samples per step until it has none left.

    Global batches become smaller when clients run out of samples.

    Attributes:
        remaining: Number of samples at each client; shape (clients,).
        local_batch_sizes: b_k, at least 1; shape (clients,).
    """

    remaining: NDArray[np.int64]
    local_batch_sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return int(np.max(-(-self.remaining // self.local_batch_sizes), initial=0))

    @override
    def local_batches(self, step: int) -> LocalBatches:
        left = self.remaining - step * self.local_batch_sizes
        sizes = np.clip(left, 0, self.local_batch_sizes)
        active = np.flatnonzero(sizes)
        return LocalBatches(active, sizes[active])


@dataclass(frozen=True, slots=True, eq=False)
class DrawnSchedule(Schedule):
    """A schedule that stores the local batches of every step, as drawn one after another.

    Attributes:
        batches: Active clients and local batch sizes of each step.
    """

    batches: Sequence[LocalBatches]

    def __len__(self) -> int:
        return len(self.batches)

    @override
    def local_batches(self, step: int) -> LocalBatches:
        return self.batches[step]
