"""Prefetching of the next local batch while the server computes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pslgs.data.local import Batch, LocalDataset


@dataclass(frozen=True, slots=True, eq=False)
class _Cached:
    epoch: int
    offset: int
    batch: Batch

    def part(self, epoch: int, offset: int, count: int) -> Batch | None:
        start = offset - self.offset
        if epoch != self.epoch or start < 0 or start + count > len(self.batch.labels):
            return None
        return Batch(self.batch.inputs[start : start + count], self.batch.labels[start : start + count])


class BatchCache:
    """A cache of at most one prefetched batch.

    Because a sample does not depend on the batch to which it belongs, any part of the prefetched batch can
    be taken.

    Attributes:
        load_seconds: Seconds that the latest `prefetch` or `take` spent loading; 0 on a cache hit.
    """

    def __init__(self, dataset: LocalDataset, clock: Callable[[], float] = time.perf_counter) -> None:
        self.load_seconds = 0.0
        self._dataset = dataset
        self._clock = clock
        self._cached: _Cached | None = None

    def prefetch(self, epoch: int, offset: int, count: int) -> None:
        """Load a batch for a later `take`, in place of the one that is cached."""
        self._cached = None
        self._cached = _Cached(epoch, offset, self._load(epoch, offset, count))

    def take(self, epoch: int, offset: int, count: int) -> Batch:
        """Return a batch, from the cache or by loading it, and empty the cache."""
        batch = self._cached_part(epoch, offset, count)
        self._cached = None  # before loading, so that at most one batch is in memory
        self.load_seconds = 0.0
        return self._load(epoch, offset, count) if batch is None else batch

    def _cached_part(self, epoch: int, offset: int, count: int) -> Batch | None:
        return None if self._cached is None else self._cached.part(epoch, offset, count)

    def _load(self, epoch: int, offset: int, count: int) -> Batch:
        start = self._clock()
        batch = self._dataset.batch(epoch, offset, count)
        self.load_seconds = self._clock() - start
        return batch
