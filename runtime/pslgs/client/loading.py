"""Loads local batches in threads of their own, and one batch ahead of the order for it."""

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
"""Fewer samples than this are not worth another thread."""


class LoadingThreads:
    """The threads that decode and transform samples, so that the torch thread never waits for a prefetch.

    Threads suffice, because Pillow, pyarrow and torch release the interpreter's lock while they work; model
    processes would each need the memory of an interpreter with torch.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._closing = Event()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="load")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``call`` in one of the threads and return its result."""
        return await asyncio.wrap_future(self._executor.submit(call, *args, **kwargs))

    async def load(self, dataset: ClientDataset, epoch: int | None, offset: int, count: int) -> Batch:
        """Load a batch in parts, one for each thread; see `ClientDataset.decode`.

        Once a part fails, or the caller is cancelled, the threads stop before their next sample.

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
        """Stop loading, and wait for the samples that are being loaded."""
        self._closing.set()
        self._executor.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Ahead:
    epoch: int | None
    offset: int
    count: int
    loading: asyncio.Task[Batch]

    def has(self, epoch: int | None, offset: int, count: int) -> bool:
        return epoch == self.epoch and self.offset <= offset and offset + count <= self.offset + self.count


class Prefetcher:
    """Gives a dataset's batches; at most one is loaded, and held, ahead of its order.

    Because a sample does not depend on the batch in which it comes, a batch that holds more than what is
    ordered serves as well.
    """

    def __init__(
        self,
        dataset: ClientDataset,
        threads: LoadingThreads,
        observe: Callable[[float], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Load batches of ``dataset``; ``observe`` is told how many seconds each took."""
        self.samples = dataset.samples
        self._dataset = dataset
        self._threads = threads
        self._observe = observe
        self._clock = clock
        self._ahead: _Ahead | None = None

    def prefetch(self, epoch: int | None, offset: int, count: int) -> None:
        """Begin to load a batch that will be taken; what was loaded ahead is dropped.

        If that fails, `take` says so when it is asked for the batch.
        """
        self.drop()
        loading = asyncio.create_task(self._load(epoch, offset, count))
        loading.add_done_callback(_note_error)
        self._ahead = _Ahead(epoch, offset, count, loading)

    async def take(self, epoch: int | None, offset: int, count: int) -> Batch:
        """Return a batch, and hold none afterwards.

        Raises:
            InputError: a sample is damaged or cannot be transformed.
        """
        ahead = self._ahead
        if ahead is None or not ahead.has(epoch, offset, count):
            self.drop()  # before loading, so that never two are in memory
            return await self._load(epoch, offset, count)
        self._ahead = None
        batch = await ahead.loading
        start = offset - ahead.offset
        return Batch(batch.inputs[start : start + count], batch.labels[start : start + count])

    def drop(self) -> None:
        """Give up what is held or being loaded ahead."""
        if self._ahead is not None:
            self._ahead.loading.cancel()
            self._ahead = None

    async def _load(self, epoch: int | None, offset: int, count: int) -> Batch:
        begun = self._clock()
        batch = await self._threads.load(self._dataset, epoch, offset, count)
        self._observe(self._clock() - begun)
        return batch


def _note_error(loading: asyncio.Task[Batch]) -> None:
    """Mark an error as seen: nobody asks for it if the batch is dropped."""
    if not loading.cancelled():
        loading.exception()


class LocalData(NamedTuple):
    """The samples of a client; ``evaluation`` is None where it holds none."""

    training: Prefetcher
    evaluation: Prefetcher | None
