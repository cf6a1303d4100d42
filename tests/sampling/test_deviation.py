import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.sampling.deviation import batch_deviation, deviation_bound, expected_deviation


@given(st.lists(st.integers(0, 50), min_size=2, max_size=10).filter(sum), st.integers(0, 2**32))
def test_a_deviation_lies_between_nothing_and_two(counts, seed):
    proportions = np.random.default_rng(seed).dirichlet(np.ones(len(counts)))
    assert 0 <= batch_deviation(np.array(counts), proportions) <= 2


def test_a_batch_like_the_pool_does_not_deviate():
    assert batch_deviation(np.array([2, 6]), np.array([0.25, 0.75])) == 0


@pytest.mark.parametrize(
    ("classes", "batch", "expected"),
    [(10, 64, 0.299), (10, 128, 0.211), (10, 256, 0.149), (100, 128, 0.70)],
    ids=["M10-B64", "M10-B128", "M10-B256", "M100-B128"],
)
def test_expected_deviations_are_those_of_the_reference(classes, batch, expected):
    p = np.full(classes, 1 / classes)
    assert expected_deviation(p, batch, 50_000) == pytest.approx(expected, abs=0.0051)


def test_uniform_batches_lie_on_the_expectation_and_under_the_bound():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 5_000)
    p = np.full(10, 0.1)
    deviations = [
        batch_deviation(np.bincount(rng.choice(labels, 128, replace=False), minlength=10), p)
        for _ in range(1_000)
    ]
    assert np.mean(deviations) == pytest.approx(expected_deviation(p, 128, 50_000), rel=0.02)
    assert np.mean(np.array(deviations) > deviation_bound(10, 128, 50_000, 0.99)) < 0.01


@given(st.integers(2, 64), st.integers(1, 500), st.integers(0, 10_000), st.floats(0.5, 0.999))
def test_the_bound_solves_the_inequality_it_is_made_from(classes, batch, more, confidence):
    samples = batch + more
    bound = deviation_bound(classes, batch, samples, confidence)
    f = 1 - (batch - 1) / samples
    probability = (2.0**classes - 2) * np.exp(-batch * bound**2 / (2 * f))
    assert bound == 2.0 or probability == pytest.approx(1 - confidence)


def test_the_bound_for_many_classes_does_not_overflow():
    assert deviation_bound(5_000, 100_000, 10**7, 0.99) < 2


def test_the_whole_pool_neither_deviates_nor_may():
    assert expected_deviation(np.array([0.5, 0.5]), 10, 10) == 0
