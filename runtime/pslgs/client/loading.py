"""Load local batches in separate threads, and prefetch one batch."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from threading import Event, Lock
from typing import NamedTuple, ParamSpec, TypeVar

from pslgs.coordination.feature_moments import FeatureScale
from pslgs.data.client_dataset import Batch, ClientDataset
from pslgs.model_inputs import Inputs, rows_of

P = ParamSpec("P")
T = TypeVar("T")

SAMPLES_PER_PART = 8
"""Minimum number of samples for each thread that loads a part of a batch."""


class BatchLoad:
    """A batch that threads load from the creation of this object on.

    The thread that decodes the last part collates the batch: a load that is complete before it is awaited
    costs the event loop nothing.
    """

    def __init__(
        self,
        threads: Executor,
        decode: Callable[[int, int, Callable[[], bool]], list[Inputs]],
        collate: Callable[[list[Inputs]], Batch],
        edges: Sequence[int],
        closing: Event,
    ) -> None:
        """Begin to load.

        Args:
            threads: Threads that load the parts.
            decode: Decodes the samples of a part, given its first sample, the number of its samples, and
                a function that returns whether to stop before the next sample.
            collate: Combines the samples of all parts to a batch.
            edges: First sample of each part, and the end of the last one.
            closing: Set when all loads are to stop.
        """
        self._decode = decode
        self._collate = collate
        self._closing = closing
        self._stopped = Event()
        self._lock = Lock()
        self._decoded: dict[int, list[Inputs]] = {}
        self._edges = edges
        self._parts = [threads.submit(self._load_part, *part) for part in pairwise(edges)]

    def is_done(self) -> bool:
        """Return whether `result` returns, or raises an error, at once."""
        return all(part.done() for part in self._parts)

    async def result(self) -> Batch:
        """Return the batch when it is loaded.

        If a part fails or the caller is cancelled, the threads stop before their next sample.

        Raises:
            InputError: a sample is damaged or cannot be transformed.
        """
        try:
            if not self.is_done():
                await asyncio.gather(*map(asyncio.wrap_future, self._parts))
            [batch] = (batch for part in self._parts if (batch := part.result()) is not None)
        finally:
            self._stopped.set()
        return batch

    def cancel(self) -> None:
        """Stop the threads before their next sample."""
        self._stopped.set()
        for part in self._parts:
            part.cancel()

    def _load_part(self, first: int, stop: int) -> Batch | None:
        """Decode a part; return the batch if all other parts are decoded."""
        samples = self._decode(first, stop - first, self._is_cancelled)
        with self._lock:
            self._decoded[first] = samples
            complete = len(self._decoded) == len(self._edges) - 1
        if not complete or self._is_cancelled():
            return None
        return self._collate([sample for first in self._edges[:-1] for sample in self._decoded.pop(first)])

    def _is_cancelled(self) -> bool:
        return self._stopped.is_set() or self._closing.is_set()


class LoadingThreads:
    """Threads that decode and transform samples, so that a prefetch never delays the torch thread.

    Threads run in parallel because Pillow, pyarrow and torch release the GIL while they work; processes would
    each need the memory of an interpreter with torch.
    """

    def __init__(self, threads: int, executor: Executor | None = None) -> None:
        """Start ``threads`` threads, or let an executor run what they would."""
        self._threads = threads
        self._closing = Event()
        self._executor = executor or ThreadPoolExecutor(threads, thread_name_prefix="load")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``call`` in one of the threads and return its result."""
        return await asyncio.wrap_future(self._executor.submit(call, *args, **kwargs))

    def load(
        self,
        dataset: ClientDataset,
        epoch: int | None,
        offset: int,
        count: int,
        on_loaded: Callable[[], None] = lambda: None,
    ) -> BatchLoad:
        """Begin to load a batch, divided among the threads; see `ClientDataset.decode` for the arguments.

        ``on_loaded`` is called in a thread when the batch is complete.
        """

        def collate(samples: list[Inputs]) -> Batch:
            batch = dataset.collate(epoch, offset, samples)
            on_loaded()
            return batch

        parts = max(1, min(self._threads, count // SAMPLES_PER_PART))
        edges = [offset + count * part // parts for part in range(parts + 1)]
        return BatchLoad(self._executor, partial(dataset.decode, epoch), collate, edges, self._closing)

    def close(self) -> None:
        """Stop the threads, and wait until they have finished their current samples."""
        self._closing.set()
        self._executor.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True, eq=False)
class _PrefetchedBatch:
    """A batch that is being loaded, or was, before it is requested."""

    epoch: int | None
    offset: int
    count: int
    loading: BatchLoad

    def contains(self, epoch: int | None, offset: int, count: int) -> bool:
        return epoch == self.epoch and self.offset <= offset and offset + count <= self.offset + self.count


class Prefetcher:
    """Loads the batches of a dataset, and prefetches at most one of them.

    A sample does not depend on the batch that it is in, so any part of the prefetched batch can be taken.
    """

    def __init__(
        self,
        dataset: ClientDataset,
        threads: LoadingThreads,
        observe: Callable[[float], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Load batches of ``dataset``; ``observe`` is called with the duration of each load in seconds."""
        self.samples = dataset.samples
        self._dataset = dataset
        self._threads = threads
        self._observe = observe
        self._clock = clock
        self._prefetched: _PrefetchedBatch | None = None

    def prefetch(self, epoch: int | None, offset: int, count: int) -> None:
        """Start to load a batch in the background, instead of the one that was prefetched before.

        An error is raised when the batch is taken.  A batch at hand is loaded only then.
        """
        self.discard()
        if not self._dataset.is_at_hand(epoch, count):
            self._prefetched = _PrefetchedBatch(epoch, offset, count, self._load(epoch, offset, count))

    def is_loaded(self, epoch: int | None, offset: int, count: int) -> bool:
        """Return whether `take` returns this batch, or raises its error, at once."""
        prefetched = self._prefetched
        if prefetched is None or not prefetched.contains(epoch, offset, count):
            return self._dataset.is_at_hand(epoch, count)
        return prefetched.loading.is_done()

    async def take(self, epoch: int | None, offset: int, count: int) -> Batch:
        """Return a batch, prefetched or loaded now; the prefetched batch is used up or discarded.

        Raises:
            InputError: a sample is damaged or cannot be transformed.
        """
        prefetched = self._prefetched
        if prefetched is None or not prefetched.contains(epoch, offset, count):
            self.discard()  # before loading, so that at most one batch is in memory
            if self._dataset.is_at_hand(epoch, count):
                return self._load_at_hand(epoch, offset, count)
            return await self._load(epoch, offset, count).result()
        self._prefetched = None
        batch = await prefetched.loading.result()
        start = offset - prefetched.offset
        return Batch(rows_of(batch.inputs, start, count), batch.labels[start : start + count])

    def standardize(self, scale: FeatureScale) -> None:
        """Standardise the inputs of all batches that are taken from now on."""
        self.discard()
        self._dataset.standardize(scale)

    def discard(self) -> None:
        """Discard the prefetched batch, and cancel its load."""
        if self._prefetched is not None:
            self._prefetched.loading.cancel()
            self._prefetched = None

    def _load_at_hand(self, epoch: int | None, offset: int, count: int) -> Batch:
        begun = self._clock()
        batch = self._dataset.collate(
            epoch, offset, self._dataset.decode(epoch, offset, count, cancelled=lambda: False)
        )
        self._observe(self._clock() - begun)
        return batch

    def _load(self, epoch: int | None, offset: int, count: int) -> BatchLoad:
        begun = self._clock()

        def observe() -> None:
            self._observe(self._clock() - begun)

        return self._threads.load(self._dataset, epoch, offset, count, observe)


class LocalData(NamedTuple):
    """The datasets of a client; ``evaluation`` is None if it evaluates nothing."""

    training: Prefetcher
    evaluation: Prefetcher | None

    def standardize(self, scale: FeatureScale) -> None:
        """Standardise the inputs of all batches that are taken from now on."""
        for data in self:
            if data is not None:
                data.standardize(scale)
