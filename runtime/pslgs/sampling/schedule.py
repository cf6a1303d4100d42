"""Schedules: how many samples each client contributes to each global batch of an epoch (arXiv 2407.15738)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from pslgs.sampling.pool import shuffled_pool


@dataclass(frozen=True, slots=True, eq=False)
class LocalBatches:
    """Who contributes to one global batch.

    Attributes:
        clients: Indices of the active clients, ascending; shape (active,).
        sizes: Their local batch sizes, all positive; shape (active,).
    """

    clients: NDArray[np.int64]
    sizes: NDArray[np.int64]


class Schedule(Protocol):
    """The global batches of one epoch, or of what remains of it."""

    def __len__(self) -> int:
        """Count the steps."""
        ...

    def local_batches(self, step: int) -> LocalBatches:
        """Return who contributes to ``step``, 0 ≤ step < len."""
        ...


def chunk_of(step: int, samples: int, steps: int) -> tuple[int, int]:
    """Return where chunk ``step`` of ``steps`` near-equal ones begins and ends; sizes differ by at most 1."""
    return step * samples // steps, (step + 1) * samples // steps


@dataclass(frozen=True, slots=True, eq=False)
class GlobalSchedule(Schedule):
    """Global batches drawn uniformly, without replacement, from the pooled samples.

    Attributes:
        pool: One client index for each sample that remains, shuffled; shape (samples,).
        steps: Number of chunks the pool is cut into.
    """

    pool: NDArray[np.uint32]
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
    """Schedule what ``remaining`` samples each client still has.

    Client k occurs in the shuffled pool once for each of its samples, and the pool is cut into
    T = ⌈N/B⌉ chunks whose sizes differ by at most one.  Batch t is therefore multivariate
    hypergeometric given what the clients have left, and every sample is used exactly once.

    Args:
        remaining: Samples left at each client, none negative; shape (clients,).
        global_batch_size: B, the size that no batch exceeds.
        rng: Source of the pool's order.

    Raises:
        ValueError: the global batch size is below 1.
    """
    if global_batch_size < 1:
        raise ValueError(f"the global batch size is {global_batch_size}, must be at least 1")
    pool = shuffled_pool(np.asarray(remaining, dtype=np.int64), rng)
    return GlobalSchedule(pool, steps=-(-len(pool) // global_batch_size))


@dataclass(frozen=True, slots=True, eq=False)
class FixedSchedule(Schedule):
    """Every client contributes the same local batch each step until it runs dry; nobody makes up for it.

    Attributes:
        remaining: Samples at each client; shape (clients,).
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


def fixed_local_schedule(
    remaining: Sequence[int] | NDArray[np.int64], global_batch_size: int
) -> FixedSchedule:
    """Schedule b_k = max(1, round(B/K)) (FLS of arXiv 2407.15738); K counts the clients with samples."""
    left = np.asarray(remaining, dtype=np.int64)
    share = global_batch_size / max(1, int(np.count_nonzero(left)))
    sizes = np.full(len(left), max(1, round(share)), dtype=np.int64)
    return FixedSchedule(left, sizes)


def fixed_proportional_schedule(
    remaining: Sequence[int] | NDArray[np.int64], global_batch_size: int
) -> FixedSchedule:
    """Schedule b_k = max(1, round(B·N_k/N)) (FPLS of arXiv 2407.15738), rounding half to even."""
    left = np.asarray(remaining, dtype=np.int64)
    shares = global_batch_size * left / max(1, left.sum())
    return FixedSchedule(left, np.maximum(1, np.round(shares).astype(np.int64)))


@dataclass(frozen=True, slots=True, eq=False)
class SequentialSchedule(Schedule):
    """One client after another, each in near-equal batches of its own data: sequential split learning.

    Attributes:
        remaining: Samples at each client; shape (clients,).
        ends: Steps up to each client's last one; shape (clients,).
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
    """Schedule ⌈N_k/B⌉ batches of each client, in the clients' order (a baseline, not for skewed data)."""
    left = np.asarray(remaining, dtype=np.int64)
    return SequentialSchedule(left, np.cumsum(-(-left // batch_size)))


@dataclass(frozen=True, slots=True, eq=False)
class DrawnSchedule(Schedule):
    """Batches that were drawn one after another, each depending on those before.

    Attributes:
        batches: Of all steps, only the active clients of each.
    """

    batches: Sequence[LocalBatches]

    def __len__(self) -> int:
        return len(self.batches)

    @override
    def local_batches(self, step: int) -> LocalBatches:
        return self.batches[step]
