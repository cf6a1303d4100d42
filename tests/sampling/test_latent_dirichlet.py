import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.sampling.deviation import expected_deviation
from pslgs.sampling.holdings import Holdings
from pslgs.sampling.partition import partition_extended_dirichlet
from pslgs.sampling.strategies.latent_dirichlet import (
    dirichlet_prior,
    draw_labels,
    latent_dirichlet_schedule,
    mixing_weights,
    tilted,
)
from pslgs.spec.training import LatentDirichletSpec

PLAIN = LatentDirichletSpec()
POOLED = np.repeat(np.arange(10), 1_000)


def table(schedule, clients: int) -> np.ndarray:
    sizes = np.zeros((len(schedule), clients), dtype=np.int64)
    for step in range(len(schedule)):
        batches = schedule.local_batches(step)
        sizes[step, batches.clients] = batches.sizes
    return sizes


def severe(clients: int, seed: int = 0) -> np.ndarray:
    """Label counts of the paper's severe partition, (clients, classes)."""
    shares = partition_extended_dirichlet(POOLED, clients, 2, 3.0, np.random.default_rng(seed))
    return np.array([np.bincount(POOLED[share], minlength=10) for share in shares])


def holdings(counts: np.ndarray, delays: np.ndarray | None = None) -> Holdings:
    unknown = np.full(len(counts), np.nan)
    return Holdings(counts.sum(axis=1), counts, unknown if delays is None else delays)


@pytest.mark.slow
@given(
    st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=3), min_size=1, max_size=12),
    st.integers(1, 64),
    st.builds(
        LatentDirichletSpec,
        concentration=st.floats(0.01, 50),
        delay_weight=st.floats(0, 1e6),
        sample_size=st.integers(1, 3000),
    ),
    st.integers(0, 2**32),
)
def test_every_sample_is_used_once_in_near_equal_batches(rows, batch, options, seed):
    rng = np.random.default_rng(seed)
    held = holdings(np.array(rows), rng.choice([np.nan, 0.1, 0.1, 5.0], len(rows)))
    sizes = table(latent_dirichlet_schedule(held, batch, options, rng), len(rows))
    assert sizes.sum(axis=0).tolist() == held.remaining.tolist()
    totals = sizes.sum(axis=1)
    assert len(totals) == -(-held.remaining.sum() // batch)
    if len(totals):
        assert totals.max() <= batch
        assert totals.max() - totals.min() <= 1


def test_the_prior_has_the_variance_of_a_share_among_samples_drawn_without_replacement():
    held, drawn = np.array([500, 2_000, 7_500]), 1_000
    prior = dirichlet_prior(held, drawn, 1.0)
    share, pooled = held / held.sum(), held.sum()
    assert prior / prior.sum() == pytest.approx(share)
    dirichlet = share * (1 - share) / (prior.sum() + 1)
    hypergeometric = share * (1 - share) / drawn * (pooled - drawn) / (pooled - 1)
    assert dirichlet == pytest.approx(hypergeometric)


@pytest.mark.slow
def test_without_delays_local_batches_vary_as_under_global_sampling():
    """The first batch of many draws, in the severe partition: mean and variance of each client's part."""
    counts, batch, draws = severe(8), 64, 1_500
    rng = np.random.default_rng(1)
    first = np.array(
        [table(latent_dirichlet_schedule(holdings(counts), batch, PLAIN, rng), 8)[0] for _ in range(draws)]
    )
    share, pooled = counts.sum(axis=1) / counts.sum(), counts.sum()
    variance = batch * share * (1 - share) * (pooled - batch) / (pooled - 1)
    assert first.mean(axis=0) == pytest.approx(batch * share, abs=4 * np.sqrt(variance.max() / draws) + 0.1)
    assert first.var(axis=0).sum() == pytest.approx(variance.sum(), rel=0.15)


def test_without_delays_batches_deviate_as_under_global_sampling():
    counts = severe(16)
    deviations = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(np.repeat(np.arange(10), row)) for row in counts]
        sizes = table(latent_dirichlet_schedule(holdings(counts), 64, PLAIN, rng), 16)
        used = np.vstack([np.zeros(16, dtype=np.int64), sizes.cumsum(axis=0)])
        for step in range(len(sizes) * 4 // 5):
            labels = np.concatenate([orders[k][used[step, k] : used[step + 1, k]] for k in range(16)])
            deviations.append(np.abs(np.bincount(labels, minlength=10) / len(labels) - 0.1).sum())
    expected = expected_deviation(np.full(10, 0.1), 64, 10_000)
    assert np.mean(deviations) == pytest.approx(expected, rel=0.15)


def last_step_with(sizes: np.ndarray, clients: np.ndarray) -> float:
    """Return where in the epoch one of ``clients`` is waited for at last, 0 … 1."""
    return float(np.flatnonzero(sizes[:, clients].any(axis=1))[-1] / len(sizes))


def test_a_larger_delay_weight_drains_slow_clients_earlier():
    counts = severe(40)
    slow = np.arange(40) % 5 == 0
    ends = []
    for delta in (0.0, 0.5, 2.0):
        held = holdings(counts, np.where(slow, 3.0, 1.0))
        options = LatentDirichletSpec(delay_weight=delta)
        schedule = latent_dirichlet_schedule(held, 64, options, np.random.default_rng(0))
        ends.append(last_step_with(table(schedule, 40), slow))
    assert ends[0] > 0.9
    assert ends[1] < ends[0]
    assert ends[2] < 0.5


def test_equal_and_unknown_delays_change_nothing():
    prior = np.array([10.0, 20.0, 30.0])
    assert tilted(prior, np.array([2.0, 2.0, np.nan]), 5.0).tolist() == prior.tolist()
    assert tilted(prior, np.full(3, np.nan), 5.0).tolist() == prior.tolist()
    one_unknown = tilted(prior, np.array([1.0, 3.0, np.nan]), 1.0)
    assert one_unknown == pytest.approx([10 * np.exp(-1), 20 * np.exp(1), 30.0])


def test_weights_follow_the_labels_where_classes_tell_the_clients_apart():
    """With one class at each client the estimate is in closed form: π_k ∝ n_k + α_k − 1."""
    prior, labels = np.array([5.0, 5.0, 10.0]), np.array([600, 300, 100])
    expected = (labels + prior - 1) / (labels + prior - 1).sum()
    assert mixing_weights(prior, np.eye(3), labels) == pytest.approx(expected, abs=1e-4)


def test_clients_that_no_weight_is_left_for_come_at_the_end():
    """Two thousand clients under a prior worth twenty observations: most weights are zero."""
    counts = np.tile(np.array([[3, 0], [0, 3]]), (1_000, 1))
    options = LatentDirichletSpec(sample_size=20)
    schedule = latent_dirichlet_schedule(holdings(counts), 50, options, np.random.default_rng(0))
    assert table(schedule, 2_000).sum(axis=0).tolist() == [3] * 2_000


def test_labels_are_drawn_from_what_is_left_in_its_mix():
    drawn = draw_labels(np.array([100, 0, 50]), np.eye(3), 150, np.random.default_rng(0))
    assert drawn.tolist() == [100, 0, 50]


def test_the_same_generator_draws_the_same_schedule():
    held = holdings(severe(8), np.arange(8.0))
    options = LatentDirichletSpec(delay_weight=1.0)
    one, other = (
        table(latent_dirichlet_schedule(held, 32, options, np.random.default_rng(5)), 8) for _ in range(2)
    )
    assert (one == other).all()
