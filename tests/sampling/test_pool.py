from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.sampling import pool
from pslgs.sampling.pool import CACHED, shuffled_pool


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=20).filter(sum),
    st.integers(1, 50),
    st.integers(0, 2**32),
)
def test_a_pool_in_buckets_holds_every_client_as_often_as_it_has_samples(held, piece, seed):
    entries = shuffled_pool(np.array(held), np.random.default_rng(seed), cached=0, piece=piece)
    assert np.bincount(entries, minlength=len(held)).tolist() == held


@pytest.mark.slow
@pytest.mark.parametrize("cached", [0, CACHED], ids=["in buckets", "at once"])
def test_every_order_is_equally_likely(cached, monkeypatch):
    monkeypatch.setattr(pool, "BUCKETS", 2)
    rng, draws = np.random.default_rng(0), 24_000
    found = Counter(
        tuple(shuffled_pool(np.ones(4, dtype=np.int64), rng, cached=cached, piece=3).tolist())
        for _ in range(draws)
    )
    assert found.keys() == set(permutations(range(4)))
    chi_square = sum((count - draws / 24) ** 2 / (draws / 24) for count in found.values())
    assert chi_square < 49.7  # exceeded once in a thousand


def test_a_long_pool_is_mixed_all_over():
    """Each tenth of five million entries holds a tenth of every client's, as far as chance allows."""
    held = np.full(50, 100_000)
    assert held.sum() > CACHED
    entries = shuffled_pool(held, np.random.default_rng(0))
    for tenth in np.split(entries, 10):
        counts = np.bincount(tenth, minlength=50)
        assert np.abs(counts - 10_000).max() < 5 * np.sqrt(10_000 * 0.9)


@pytest.mark.parametrize("cached", [0, CACHED], ids=["in buckets", "at once"])
@pytest.mark.parametrize(
    ("clients", "entry_bytes"), [(1, 1), (256, 1), (257, 2), (65_536, 2), (65_537, 4)], ids=str
)
def test_an_entry_takes_as_few_bytes_as_the_clients_need(clients, entry_bytes, cached):
    held = np.ones(clients, dtype=np.int64)
    entries = shuffled_pool(held, np.random.default_rng(0), cached=cached)
    assert entries.itemsize == entry_bytes
    assert np.array_equal(np.sort(entries), np.arange(clients))


@pytest.mark.parametrize("cached", [0, CACHED], ids=["in buckets", "at once"])
def test_the_order_does_not_depend_on_the_size_of_an_entry(cached):
    """Clients without samples make entries larger and change nothing else."""
    held = np.random.default_rng(0).integers(0, 50, size=20)
    few, many = (
        shuffled_pool(np.pad(held, (0, more)), np.random.default_rng(1), cached=cached)
        for more in (0, 70_000)
    )
    assert few.itemsize < many.itemsize
    assert few.tolist() == many.tolist()


def test_a_pool_without_samples_is_empty():
    assert len(shuffled_pool(np.zeros(0, dtype=np.int64), np.random.default_rng(0))) == 0
