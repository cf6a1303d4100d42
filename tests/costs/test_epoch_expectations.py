"""What is said of an epoch before it runs equals what drawing epochs shows."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.costs.plan import expected_epochs
from pslgs.sampling.deviation import batch_deviation, deviation_bound, expected_deviation
from pslgs.sampling.partition import partition_extended_dirichlet
from pslgs.sampling.schedule import draw_global_schedule
from pslgs.sampling.schedule_statistics import (
    DataDistribution,
    Moments,
    active_clients,
    active_clients_of_epoch,
    batch_moments,
    constant_runs,
    fixed_statistics,
    largest_local_batches,
    mean_distance,
    stratified_bound,
)
from pslgs.sampling.strategies.fixed_local import fixed_local_schedule
from pslgs.sampling.strategies.fixed_proportional_local import fixed_proportional_schedule
from pslgs.spec.training import Baseline, SamplingSpec, SamplingStrategy

SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def extended_dirichlet(
    clients: int, classes_per_client: int, seed: int, samples: int = 50_000
) -> DataDistribution:
    labels = np.arange(samples) % 10
    shares = partition_extended_dirichlet(labels, clients, classes_per_client, 3, np.random.default_rng(seed))
    counts = np.array([np.bincount(labels[share], minlength=10) for share in shares])
    return DataDistribution(counts.sum(axis=1), counts, "a test")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(any), st.data())
def test_active_clients_are_counted_over_all_batches_that_could_be_drawn(sizes, data) -> None:
    batch_size = data.draw(st.integers(1, sum(sizes)))
    pool = np.repeat(np.arange(len(sizes)), sizes)
    drawn = [len({*pool[list(each)]}) for each in combinations(range(len(pool)), batch_size)]
    assert active_clients(np.array(sizes), batch_size) == pytest.approx(np.mean(drawn))


@given(SIZES, st.data())
def test_active_clients_follow_the_binomial_formula(sizes, data) -> None:
    pooled = sum(sizes)
    batch_size = data.draw(st.integers(1, pooled))
    expected = sum(1 - comb(pooled - held, batch_size) / comb(pooled, batch_size) for held in sizes)
    assert active_clients(np.array(sizes), batch_size) == pytest.approx(expected)


def test_active_clients_of_a_hundred_million_samples_are_exact_enough() -> None:
    sizes = np.full(100_000, 1000)
    expected = 100_000 * -np.expm1(np.log1p(-1000 / (1e8 - np.arange(128))).sum())
    assert active_clients(sizes, 128) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("clients", "active"), [(16, 16.0), (32, 31.4), (64, 55.4), (128, 81.1)])
def test_active_clients_are_those_of_the_reference_table(clients, active) -> None:
    sizes = np.full(clients, 50_000 // clients)
    assert active_clients_of_epoch(sizes, 128) == pytest.approx(active, abs=0.1)


def test_largest_local_batches_are_those_of_drawn_schedules() -> None:
    sizes = np.array([3000, 1000, 500, 500])
    schedules = [draw_global_schedule(sizes, 64, np.random.default_rng(seed)) for seed in range(5)]
    drawn = [each.local_batches(t).sizes.max() for each in schedules for t in range(len(each))]
    assert largest_local_batches(sizes, 64, rng()).mean() == pytest.approx(np.mean(drawn), rel=0.03)


@given(SIZES, st.integers(1, 20), st.sampled_from([fixed_local_schedule, fixed_proportional_schedule]))
def test_fixed_batches_are_described_exactly(sizes, batch_size, schedule_of) -> None:
    schedule = schedule_of(sizes, batch_size)
    counts = np.array([[held, 0] for held in sizes])
    figures = fixed_statistics(
        "fixed", DataDistribution(np.array(sizes), counts, "a test"), batch_size, schedule
    )
    batches = [schedule.local_batches(step) for step in range(len(schedule))]
    assert figures.steps == len(batches)
    assert figures.batch_size == pytest.approx(sum(sizes) / len(batches))
    assert figures.active_clients == pytest.approx(np.mean([len(each.clients) for each in batches]))
    assert figures.largest_local_batch == pytest.approx(np.mean([each.sizes.max() for each in batches]))
    assert figures.peak_local_batch == max(each.sizes.max() for each in batches)
    assert figures.small_steps == pytest.approx(
        np.mean([each.sizes.sum() < batch_size / 2 for each in batches])
    )


@pytest.mark.parametrize(
    "schedule_of", [fixed_local_schedule, fixed_proportional_schedule], ids=["FLS", "FPLS"]
)
def test_the_deviation_of_fixed_batches_is_that_of_drawn_ones(schedule_of) -> None:
    distribution = extended_dirichlet(clients=16, classes_per_client=3, seed=1, samples=4000)
    schedule = schedule_of(distribution.sizes, 64)
    deviations = np.mean([drawn_deviations(distribution, schedule, seed) for seed in range(20)], axis=0)
    figures = fixed_statistics("fixed", distribution, 64, schedule)
    late = round(0.8 * len(schedule))
    assert figures.deviation == pytest.approx(deviations.mean(), rel=0.05)
    assert figures.deviation_at_end == pytest.approx(deviations[late:].mean(), rel=0.05)


def drawn_deviations(distribution: DataDistribution, schedule, seed: int) -> list[float]:
    """Deviations of an epoch in which each client's samples come in an order drawn at random."""
    generator = np.random.default_rng(seed)
    counts = distribution.label_counts
    orders = [generator.permutation(np.repeat(np.arange(counts.shape[1]), row)) for row in counts]
    used = np.zeros(len(orders), dtype=int)
    deviations = []
    for step in range(len(schedule)):
        batch = schedule.local_batches(step)
        labels = [orders[k][used[k] : used[k] + b] for k, b in zip(batch.clients, batch.sizes, strict=True)]
        used[batch.clients] += batch.sizes
        mixed = np.bincount(np.concatenate(labels), minlength=counts.shape[1])
        deviations.append(batch_deviation(mixed, counts.sum(axis=0) / counts.sum()))
    return deviations


# Of METHOD's table: 10 partitions, B=128, N=50,000, M=10.
@pytest.mark.parametrize(
    ("classes_per_client", "strategy", "clients", "expected"),
    [
        (5, SamplingStrategy.FIXED_PROPORTIONAL_LOCAL, 16, ((422, 7), 0.24, 0.43)),
        (5, SamplingStrategy.FIXED_LOCAL, 32, ((634, 46), 0.43, 1.06)),
        (2, SamplingStrategy.FIXED_PROPORTIONAL_LOCAL, 64, ((568, 19), 0.41, 1.24)),
        (2, SamplingStrategy.FIXED_LOCAL, 16, ((664, 86), 0.54, 1.32)),
    ],
    ids=["mild FPLS of 16", "mild FLS of 32", "severe FPLS of 64", "severe FLS of 16"],
)
def test_figures_are_those_of_the_reference_table(classes_per_client, strategy, clients, expected) -> None:
    steps, deviation, at_end = expected
    schedule_of = {
        SamplingStrategy.FIXED_LOCAL: fixed_local_schedule,
        SamplingStrategy.FIXED_PROPORTIONAL_LOCAL: fixed_proportional_schedule,
    }[strategy]
    partitions = [extended_dirichlet(clients, classes_per_client, seed) for seed in range(10)]
    found = [fixed_statistics(strategy, each, 128, schedule_of(each.sizes, 128)) for each in partitions]
    assert np.mean([each.steps for each in found]) == pytest.approx(steps[0], abs=1.5 * steps[1])
    assert np.mean([each.deviation for each in found]) == pytest.approx(deviation, abs=0.08)
    assert np.mean([each.deviation_at_end for each in found]) == pytest.approx(at_end, abs=0.25)


def test_global_batches_do_not_depend_on_who_holds_what() -> None:
    figures = [
        expected_epochs(extended_dirichlet(16, classes, seed=3), 128, SamplingSpec(), rng())[0]
        for classes in (2, 5)
    ]
    for each in figures:
        assert (each.strategy, each.steps, each.bias, each.small_steps) == ("Global", 391, 0, 0)
        assert each.deviation == pytest.approx(expected_deviation(np.full(10, 0.1), 128, 50_000), rel=1e-3)
        assert each.deviation == pytest.approx(0.211, abs=0.001)
        assert each.deviation_bound == deviation_bound(10, 128, 50_000, 0.99)


def test_every_strategy_is_described_and_the_yardstick_comes_last() -> None:
    distribution = extended_dirichlet(16, 2, seed=0, samples=3000)
    found = expected_epochs(distribution, 64, SamplingSpec(), rng())
    assert [each.strategy for each in found] == [*SamplingStrategy, Baseline.CENTRALIZED]
    assert (found[-1].active_clients, found[-1].largest_local_batch) == (1, 64)
    latent = found[3]
    assert (latent.steps, latent.bias, latent.deviation_bound) == (found[0].steps, None, None)
    assert found[0].deviation <= latent.deviation <= 1.5 * found[0].deviation


def test_a_strategy_that_would_take_long_to_draw_is_left_out_unless_it_is_the_jobs() -> None:
    distribution = DataDistribution(np.full(20_000, 100), None, "a test")
    assert SamplingStrategy.LATENT_DIRICHLET not in [
        each.strategy for each in expected_epochs(distribution, 128, SamplingSpec(), rng())
    ]


def test_targets_that_are_no_classes_have_no_deviation() -> None:
    distribution = DataDistribution(np.array([50, 0, 150]), None, "a test")
    for each in expected_epochs(distribution, 16, SamplingSpec(), rng()):
        assert (each.deviation, each.deviation_at_end, each.deviation_bound, each.bias) == (None,) * 4


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.data())
def test_the_bound_for_one_client_is_that_of_a_uniform_batch(counts, data) -> None:
    held = sum(counts)
    size = data.draw(st.integers(1, held))
    (first, *_) = constant_runs(fixed_local_schedule([held], size))
    bound = stratified_bound(np.array([counts]), first, 0.99)
    assert min(2.0, bound) == pytest.approx(deviation_bound(len(counts), size, held, 0.99))


@pytest.mark.parametrize("bias", [0.0, 0.03, 0.2], ids=str)
def test_the_mean_distance_of_a_normal_variable_is_that_of_drawn_ones(bias) -> None:
    drawn = np.abs(bias + 0.05 * np.random.default_rng(0).standard_normal((200_000, 2))).sum(axis=1)
    assert mean_distance(Moments(np.array([bias, -bias]), np.full(2, 0.05))) == pytest.approx(
        drawn.mean(), rel=0.01
    )


def test_a_batch_of_all_samples_has_no_deviation() -> None:
    counts = np.array([[3, 1], [0, 4]])
    moments = batch_moments(counts, np.array([0, 1]), np.array([4, 4]))
    assert moments.mean == pytest.approx([0, 0])
    assert moments.spread == pytest.approx([0, 0])
