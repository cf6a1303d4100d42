from itertools import count

import numpy as np
import pytest
import torch

from pslgs.data.local import Batch
from pslgs.data.prefetch import BatchCache


class Recorded:
    """Ten samples whose inputs are their place in the epoch."""

    def __init__(self):
        self.loads = []

    def batch(self, epoch, offset, count):
        self.loads.append((epoch, offset, count))
        places = np.arange(offset, offset + count)
        return Batch(torch.tensor(places + 100.0 * epoch), torch.tensor(places))


@pytest.fixture
def dataset() -> Recorded:
    return Recorded()


@pytest.fixture
def cache(dataset) -> BatchCache:
    return BatchCache(dataset, clock=count(step=2.0).__next__)


def test_a_batch_that_was_loaded_ahead_is_there(cache, dataset):
    cache.prefetch(1, 4, 3)
    assert cache.load_seconds == 2
    assert cache.take(1, 4, 3).inputs.tolist() == [104, 105, 106]
    assert cache.load_seconds == 0
    assert dataset.loads == [(1, 4, 3)]


def test_a_batch_is_handed_out_once(cache, dataset):
    cache.prefetch(1, 4, 3)
    cache.take(1, 4, 3)
    cache.take(1, 4, 3)
    assert dataset.loads == [(1, 4, 3)] * 2


def test_a_part_of_what_was_loaded_ahead_serves_a_smaller_batch(cache, dataset):
    cache.prefetch(0, 4, 5)
    batch = cache.take(0, 5, 3)
    assert (batch.inputs.tolist(), batch.labels.tolist()) == ([5, 6, 7], [5, 6, 7])
    assert dataset.loads == [(0, 4, 5)]


@pytest.mark.parametrize(
    "wanted",
    [(2, 4, 3), (1, 3, 3), (1, 4, 4), (1, 6, 2), (1, 8, 1)],
    ids=["epoch", "earlier", "longer", "later", "elsewhere"],
)
def test_any_other_batch_is_loaded(wanted, cache, dataset):
    cache.prefetch(1, 4, 3)
    assert cache.take(*wanted).labels.tolist() == list(range(wanted[1], wanted[1] + wanted[2]))
    assert dataset.loads == [(1, 4, 3), wanted]
    assert cache.load_seconds == 2


def test_without_prefetching_a_batch_is_loaded(cache, dataset):
    assert cache.take(0, 0, 2).labels.tolist() == [0, 1]
    assert dataset.loads == [(0, 0, 2)]


def test_the_old_batch_is_gone_before_the_next_is_loaded(cache, dataset):
    cache.prefetch(0, 0, 2)
    load, held = dataset.batch, []

    def watched(*wanted):
        held.append(cache._cached)
        return load(*wanted)

    dataset.batch = watched
    cache.prefetch(0, 2, 2)
    cache.take(0, 8, 1)
    assert held == [None, None]
