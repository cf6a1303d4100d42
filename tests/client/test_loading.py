"""Batches are loaded in separate threads, and at most one is prefetched."""

import asyncio
from itertools import count
from threading import Barrier, Event

import pytest
import torch

from client.fakes import SAMPLES, ManualLoading, Rows
from pslgs.client.loading import LoadingThreads, Prefetcher
from pslgs.data.client_dataset import ClientDataset, DatasetOwner
from pslgs.data.transforms import build_pipeline
from pslgs.spec import InputError
from server.fakes import settle

ROWS = 64


class ManyRows(Rows):
    """Rows whose decoding a test can delay.

    Attributes:
        gate: Called with the index of each row before it is decoded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.labels = torch.arange(ROWS).numpy() % 3
        self.gate = lambda _: None

    def load(self, index: int):
        self.gate(index)
        return super().load(index)


def dataset(rows: Rows) -> ClientDataset:
    pipeline = build_pipeline([], "spec.data.transforms")
    return ClientDataset(
        rows, torch.arange(len(rows.labels)).numpy(), pipeline, DatasetOwner("a", 0, "spec.data.train")
    )


@pytest.fixture
def rows() -> ManyRows:
    return ManyRows()


@pytest.fixture
def threads():
    made = LoadingThreads(4)
    yield made
    made.close()


@pytest.mark.parametrize("samples", [1, 7, 8, 31, ROWS])
async def test_several_threads_load_the_same_batch_as_one_thread(samples, rows, threads):
    data = dataset(rows)
    offset = (ROWS - samples) // 2
    batch = await threads.load(data, 2, offset, samples).result()
    expected = data.batch(2, offset, samples)
    assert torch.equal(batch.inputs, expected.inputs)
    assert torch.equal(batch.labels, expected.labels)


async def test_several_threads_decode_one_batch_in_parallel(rows, threads):
    data = dataset(rows)
    together = Barrier(4, timeout=60)
    rows.gate = lambda index: together.wait() if index % 16 == 0 else None
    await threads.load(data, None, 0, ROWS).result()


async def test_one_thread_decodes_in_order(rows):
    data, one = dataset(rows), LoadingThreads(1)
    decoded: list[int] = []
    rows.gate = decoded.append
    await one.load(data, None, 0, ROWS).result()
    one.close()
    assert decoded == list(range(ROWS))


async def test_after_a_damaged_sample_the_other_threads_stop_before_their_next_sample(rows, threads):
    data, go_on = dataset(rows), Event()
    decoded: list[int] = []
    rows.damaged = 0

    def gate(index: int) -> None:
        if index >= 16:
            decoded.append(index)
            go_on.wait(60)

    rows.gate = gate
    with pytest.raises(InputError, match="damaged row 0"):
        await threads.load(data, None, 0, ROWS).result()
    go_on.set()
    threads.close()
    assert set(decoded) <= {16, 32, 48}


async def test_a_cancelled_load_stops_before_its_next_sample(rows):
    data, one = dataset(rows), LoadingThreads(1)
    begun, go_on = asyncio.Event(), Event()
    loop = asyncio.get_running_loop()
    decoded: list[int] = []

    def gate(index: int) -> None:
        decoded.append(index)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(60)

    rows.gate = gate
    loading = asyncio.create_task(one.load(data, None, 0, ROWS).result())
    await begun.wait()
    loading.cancel()
    await asyncio.wait({loading})
    go_on.set()
    one.close()
    assert decoded == [0]


async def test_closing_stops_running_loads(rows):
    data, one = dataset(rows), LoadingThreads(1)
    begun = asyncio.Event()
    loop, closing = asyncio.get_running_loop(), one._closing
    decoded: list[int] = []

    def gate(index: int) -> None:
        decoded.append(index)
        loop.call_soon_threadsafe(begun.set)
        closing.wait(60)

    rows.gate = gate
    loading = asyncio.create_task(one.load(data, None, 0, ROWS).result())
    await begun.wait()
    one.close()
    loading.cancel()
    assert decoded == [0]


class Prefetched:
    """A prefetcher of ten rows, with the durations that it reported."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.data = dataset(self.rows)
        self.loading = ManualLoading()
        self.seconds: list[float] = []
        clock = count(step=2.0).__next__
        self.prefetcher = Prefetcher(self.data, self.loading, self.seconds.append, clock)


@pytest.fixture
async def prefetched() -> Prefetched:
    return Prefetched()


async def test_a_prefetched_batch_is_taken_once(prefetched):
    prefetched.prefetcher.prefetch(1, 4, 3)
    for _ in range(2):
        batch = await prefetched.prefetcher.take(1, 4, 3)
        assert torch.equal(batch.inputs, prefetched.data.batch(1, 4, 3).inputs)
    assert prefetched.loading.loads == [(1, 4, 3)] * 2
    assert prefetched.seconds == [2, 2]


async def test_a_smaller_batch_is_taken_from_a_prefetched_one(prefetched):
    prefetched.prefetcher.prefetch(0, 4, 5)
    batch = await prefetched.prefetcher.take(0, 5, 3)
    expected = prefetched.data.batch(0, 5, 3)
    assert torch.equal(batch.inputs, expected.inputs)
    assert torch.equal(batch.labels, expected.labels)
    assert prefetched.loading.loads == [(0, 4, 5)]


@pytest.mark.parametrize(
    "wanted",
    [(2, 4, 3), (None, 4, 3), (1, 3, 3), (1, 4, 4), (1, 6, 2), (1, 8, 1)],
    ids=["epoch", "in order", "earlier", "longer", "later", "elsewhere"],
)
async def test_any_other_batch_is_loaded_and_the_prefetched_one_discarded(wanted, prefetched):
    prefetched.loading.executor.held = True
    prefetched.prefetcher.prefetch(1, 4, 3)
    await settle()
    taking = asyncio.create_task(prefetched.prefetcher.take(*wanted))
    await settle()
    assert prefetched.loading.executor.cancelled == 1
    prefetched.loading.executor.release()
    assert len((await taking).labels) == wanted[2]
    assert prefetched.loading.loads == [(1, 4, 3), wanted]
    assert prefetched.seconds == [2]


async def test_at_most_one_batch_is_prefetched(prefetched):
    prefetched.loading.executor.held = True
    for offset in range(SAMPLES - 1):
        prefetched.prefetcher.prefetch(1, offset, 1)
        await settle()
        assert prefetched.loading.executor.cancelled == offset
    prefetched.prefetcher.discard()
    await settle()
    assert prefetched.loading.executor.cancelled == SAMPLES - 1


async def test_cancelling_a_take_cancels_the_load_of_the_prefetched_batch(prefetched):
    prefetched.loading.executor.held = True
    prefetched.prefetcher.prefetch(1, 0, 4)
    taking = asyncio.create_task(prefetched.prefetcher.take(1, 0, 4))
    await settle()
    taking.cancel()
    await settle()
    assert prefetched.loading.executor.cancelled == 1


async def test_the_error_of_a_prefetch_is_raised_when_the_batch_is_taken(prefetched):
    prefetched.rows.damaged = 2
    prefetched.prefetcher.prefetch(None, 0, 4)
    await settle()
    with pytest.raises(InputError, match="damaged row 2"):
        await prefetched.prefetcher.take(None, 0, 4)


async def test_a_small_batch_in_memory_needs_no_thread_once_the_order_of_its_epoch_is_drawn(prefetched):
    prefetched.rows.is_in_memory = True
    for offset in (0, 3, 6):
        prefetched.prefetcher.prefetch(1, offset, 3)
        assert prefetched.prefetcher.is_loaded(1, offset, 3)
        batch = await prefetched.prefetcher.take(1, offset, 3)
        expected = prefetched.data.batch(1, offset, 3)
        assert torch.equal(batch.inputs, expected.inputs)
        assert torch.equal(batch.labels, expected.labels)
    assert prefetched.loading.loads == [(1, 0, 3)]
    assert prefetched.seconds == [2, 2, 2]


async def test_the_error_of_a_batch_at_hand_is_raised_when_it_is_taken(prefetched):
    prefetched.rows.is_in_memory, prefetched.rows.damaged = True, 2
    prefetched.prefetcher.prefetch(None, 0, 4)
    with pytest.raises(InputError, match="damaged row 2"):
        await prefetched.prefetcher.take(None, 0, 4)
    assert prefetched.loading.loads == []
