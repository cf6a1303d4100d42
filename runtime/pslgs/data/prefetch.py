"""The next local batch, loaded while the server computes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pslgs.data.local import Batch, LocalDataset


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    epoch: int
    offset: int
    batch: Batch

    def part(self, epoch: int, offset: int, count: int) -> Batch | None:
        start = offset - self.offset
        if epoch != self.epoch or start < 0 or start + count > len(self.batch.labels):
            return None
        return Batch(self.batch.inputs[start : start + count], self.batch.labels[start : start + count])


class BatchCache:
    """Holds at most one batch that was loaded ahead.

    Because a sample does not depend on the batch in which it comes, a batch that holds more than what is
    asked for serves as well.

    Attributes:
        load_seconds: How long the latest `prefetch` or `take` spent loading; 0 if the batch was there.
    """

    def __init__(self, dataset: LocalDataset, clock: Callable[[], float] = time.perf_counter) -> None:
        self.load_seconds = 0.0
        self._dataset = dataset
        self._clock = clock
        self._held: _Held | None = None

    def prefetch(self, epoch: int, offset: int, count: int) -> None:
        """Load a batch now, for the `take` that will come; what was held is dropped."""
        self._held = None
        self._held = _Held(epoch, offset, self._load(epoch, offset, count))

    def take(self, epoch: int, offset: int, count: int) -> Batch:
        """Return the batch, loading it unless it was loaded ahead; afterwards none is held."""
        batch = self._part_of_held(epoch, offset, count)
        self._held = None  # before loading, so that never two are in memory
        self.load_seconds = 0.0
        return self._load(epoch, offset, count) if batch is None else batch

    def _part_of_held(self, epoch: int, offset: int, count: int) -> Batch | None:
        return None if self._held is None else self._held.part(epoch, offset, count)

    def _load(self, epoch: int, offset: int, count: int) -> Batch:
        start = self._clock()
        batch = self._dataset.batch(epoch, offset, count)
        self.load_seconds = self._clock() - start
        return batch
