"""Load local batches in separate threads, and prefetch one batch."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from threading import Event
from typing import NamedTuple, ParamSpec, TypeVar

from pslgs.data.client_dataset import Batch, ClientDataset

P = ParamSpec("P")
T = TypeVar("T")

SAMPLES_PER_PART = 8
"""Minimum number of samples for each thread that loads a part of a batch."""


class LoadingThreads:
    """Threads that decode and transform samples, so that a prefetch never delays the torch thread.

    Threads run in parallel because Pillow, pyarrow and torch release the GIL while they work; processes would
    each need the memory of an interpreter with torch.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._closing = Event()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="load")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``call`` in one of the threads and return its result."""
        return await asyncio.wrap_future(self._executor.submit(call, *args, **kwargs))

    async def load(self, dataset: ClientDataset, epoch: int | None, offset: int, count: int) -> Batch:
        """Load a batch, divided among the threads; see `ClientDataset.decode` for the arguments.

        If a part fails or the caller is cancelled, the threads stop before their next sample.

        Raises:
            InputError: a sample is damaged or cannot be transformed.
        """
        parts = max(1, min(self._threads, count // SAMPLES_PER_PART))
        edges = [offset + count * part // parts for part in range(parts + 1)]
        stopped = Event()

        def cancelled() -> bool:
            return stopped.is_set() or self._closing.is_set()

        def load_whole() -> Batch:
            return dataset.collate(epoch, offset, dataset.decode(epoch, offset, count, cancelled))

        try:
            if parts == 1:
                return await self.run(load_whole)
            decoding = [
                self.run(dataset.decode, epoch, first, stop - first, cancelled)
                for first, stop in pairwise(edges)
            ]
            decoded = await asyncio.gather(*decoding)
            return await self.run(dataset.collate, epoch, offset, [each for part in decoded for each in part])
        finally:
            stopped.set()

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
    loading: asyncio.Task[Batch]

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

        An error is raised when the batch is taken.
        """
        self.discard()
        loading = asyncio.create_task(self._load(epoch, offset, count))
        loading.add_done_callback(_retrieve_error)
        self._prefetched = _PrefetchedBatch(epoch, offset, count, loading)

    async def take(self, epoch: int | None, offset: int, count: int) -> Batch:
        """Return a batch, prefetched or loaded now; the prefetched batch is used up or discarded.

        Raises:
            InputError: a sample is damaged or cannot be transformed.
        """
        prefetched = self._prefetched
        if prefetched is None or not prefetched.contains(epoch, offset, count):
            self.discard()  # before loading, so that at most one batch is in memory
            return await self._load(epoch, offset, count)
        self._prefetched = None
        batch = await prefetched.loading
        start = offset - prefetched.offset
        return Batch(batch.inputs[start : start + count], batch.labels[start : start + count])

    def discard(self) -> None:
        """Discard the prefetched batch, and cancel its load."""
        if self._prefetched is not None:
            self._prefetched.loading.cancel()
            self._prefetched = None

    async def _load(self, epoch: int | None, offset: int, count: int) -> Batch:
        begun = self._clock()
        batch = await self._threads.load(self._dataset, epoch, offset, count)
        self._observe(self._clock() - begun)
        return batch


class LocalData(NamedTuple):
    """The datasets of a client; ``evaluation`` is None if it evaluates nothing."""

    training: Prefetcher
    evaluation: Prefetcher | None


def _retrieve_error(loading: asyncio.Task[Batch]) -> None:
    """Retrieve the error of a load, or else asyncio logs that of a discarded batch as never retrieved."""
    if not loading.cancelled():
        loading.exception()
