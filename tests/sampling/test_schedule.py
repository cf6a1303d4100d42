from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.coordination.epoch import Epoch
from pslgs.sampling.schedule import draw_global_schedule
from pslgs.sampling.strategies.fixed_local import fixed_local_schedule
from pslgs.sampling.strategies.fixed_proportional_local import fixed_proportional_schedule
from pslgs.sampling.strategies.sequential_split import sequential_schedule

HOLDINGS = st.lists(st.integers(0, 200), min_size=1, max_size=12)


def table(schedule, clients: int) -> np.ndarray:
    """All local batch sizes, (steps, clients)."""
    sizes = np.zeros((len(schedule), clients), dtype=np.int64)
    for step in range(len(schedule)):
        batches = schedule.local_batches(step)
        sizes[step, batches.clients] = batches.sizes
    return sizes


@given(HOLDINGS, st.integers(1, 64), st.integers(0, 2**32))
def test_a_global_schedule_uses_every_sample_once_in_near_equal_batches(held, batch, seed):
    sizes = table(draw_global_schedule(held, batch, np.random.default_rng(seed)), len(held))
    assert sizes.sum(axis=0).tolist() == held
    totals = sizes.sum(axis=1)
    assert len(totals) == -(-sum(held) // batch)
    if len(totals):
        assert totals.max() <= batch
        assert totals.max() - totals.min() <= 1


@pytest.mark.parametrize(("batch", "steps"), [(64, 782), (128, 391), (256, 196)], ids=["64", "128", "256"])
def test_the_number_of_steps_is_that_of_the_paper(batch, steps):
    assert len(draw_global_schedule([50_000], batch, np.random.default_rng(0))) == steps


@pytest.mark.slow
def test_local_batch_sizes_follow_the_multivariate_hypergeometric_law():
    held, batch, draws = np.array([5, 20, 0, 75]), 10, 4000
    rng = np.random.default_rng(0)
    first = np.array([table(draw_global_schedule(held, batch, rng), 4)[0] for _ in range(draws)])
    total, share = held.sum(), held / held.sum()
    scale = batch * (total - batch) / (total - 1)
    covariance = scale * (np.diag(share) - np.outer(share, share))
    error = 4 * np.sqrt(batch / draws)
    assert np.abs(first.mean(axis=0) - batch * share).max() < error
    assert np.abs(np.cov(first.T) - covariance).max() < 0.25


def draw_anew(epoch: Epoch, samples: dict[str, int]) -> None:
    planned = epoch.plan(samples)
    assert planned is not None
    epoch.adopt(planned, planned.run())


@pytest.mark.slow
def test_what_remains_after_a_loss_is_drawn_by_the_same_law():
    """Two steps, then a client is lost: the next batch is hypergeometric over what the others have left."""
    draw = partial(draw_global_schedule, global_batch_size=10)
    observed, expected = [], []
    for seed in range(3000):
        epoch = Epoch(1, seed, lambda holdings, rng: draw(holdings.remaining, rng=rng))
        samples = {"a": 30, "b": 20, "c": 50}
        draw_anew(epoch, samples)
        epoch.commit()
        epoch.commit()
        del samples["a"]
        draw_anew(epoch, samples)
        left = {name: epoch.remaining(name, held) for name, held in samples.items()}
        size = sum(epoch.next_batch().values())
        observed.append(epoch.next_batch().get("b", 0))
        expected.append(size * left["b"] / sum(left.values()))
    assert np.mean(observed) == pytest.approx(np.mean(expected), abs=4 * np.std(observed) / np.sqrt(3000))
    uniform = np.random.default_rng(1).hypergeometric(20, 50, 10, size=3000)
    assert np.std(observed) == pytest.approx(np.std(uniform), rel=0.1)


@given(HOLDINGS, st.integers(1, 64))
def test_fixed_schedules_use_every_sample_and_let_clients_run_dry(held, batch):
    for schedule in (fixed_local_schedule(held, batch), fixed_proportional_schedule(held, batch)):
        sizes = table(schedule, len(held))
        assert sizes.sum(axis=0).tolist() == held
        full = sizes[:-1][sizes[1:] > 0]
        following = sizes[1:][sizes[1:] > 0]
        assert (full >= following).all()


def test_fixed_proportional_batches_round_half_to_even():
    assert fixed_proportional_schedule([5, 15, 0], 10).local_batch_sizes.tolist() == [2, 8, 1]
    assert len(fixed_proportional_schedule([5, 15, 0], 10)) == 3


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="must be at least 1"):
        draw_global_schedule([3], 0, np.random.default_rng(0))


@given(HOLDINGS, st.integers(1, 64))
def test_a_sequential_schedule_takes_one_client_after_another(held, batch):
    schedule = sequential_schedule(held, batch)
    sizes = table(schedule, len(held))
    assert sizes.sum(axis=0).tolist() == held
    assert (np.count_nonzero(sizes, axis=1) == 1).all()
    assert sizes.max(initial=0) <= batch
    order = sizes.argmax(axis=1)
    assert (np.diff(order) >= 0).all()
    assert len(schedule) == sum(-(-samples // batch) for samples in held)
