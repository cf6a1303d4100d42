import time

import numpy as np
import pytest

from pslgs.simulation.api import simulate
from pslgs.simulation.summary import ends_of_epochs, summary, write_table
from simulation.jobs import job

STRATEGIES = ("Global", "FixedLocal", "FixedProportionalLocal", "LatentDirichlet", "SequentialSplit")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [*STRATEGIES, "Centralized"], ids=str)
def test_the_batches_are_those_of_the_training(strategy):
    trained, looked = (
        simulate(job(), strategy=strategy, partition="severe", schedule_only=only) for only in (False, True)
    )
    for name in ("epoch", "batch_size", "active_clients", "largest_share", "bytes_up", "bytes_down"):
        assert (getattr(trained.steps, name) == getattr(looked.steps, name)).all(), name
    assert trained.steps.deviation.tolist() == looked.steps.deviation.tolist()
    assert np.isfinite(trained.steps.loss).all()
    assert np.isnan(looked.steps.loss).all()
    assert (trained.model is None, looked.model is None) == (False, True)


@pytest.mark.slow
def test_a_thousand_global_batches_lie_on_the_expectation_and_under_the_bound(paper_job):
    steps = simulate(
        paper_job.model_copy(update={"spec": paper_job.spec.model_copy(update={"epochs": 3})}),
        clients=16,
        partition="severe",
        schedule_only=True,
    ).steps
    assert len(steps) == 3 * 391
    assert steps.deviation.mean() == pytest.approx(steps.deviation_expected.mean(), rel=0.02)
    assert (steps.deviation > steps.deviation_bound).mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clients", "active"),
    [(16, 16.0), (32, 31.4), (64, 55.4), (128, 81.1)],
    ids=["16", "32", "64", "128"],
)
def test_the_active_clients_are_those_of_the_reference(paper_job, clients, active):
    steps = simulate(paper_job, clients=clients, partition="iid", schedule_only=True).steps
    assert steps.active_clients.mean() == pytest.approx(active, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("partition", "ratio"), [("iid", 1.0), ("severe", 1.5)], ids=["alike", "skewed"])
def test_latent_dirichlet_without_delays_deviates_as_expected_until_clients_run_dry(
    paper_job, partition, ratio
):
    """Mixing weights are drawn once an epoch; who got too large a one is dry early, and misses at the end."""
    steps = [
        simulate(
            paper_job,
            strategy="LatentDirichlet",
            clients=16,
            partition=partition,
            seed=seed,
            schedule_only=True,
        ).steps
        for seed in range(5)
    ]
    expected = steps[0].deviation_expected.mean()
    late = np.array([each.deviation[ends_of_epochs(each)].mean() for each in steps])
    early = np.array([each.deviation[~ends_of_epochs(each)].mean() for each in steps])
    assert early.mean() == pytest.approx(expected, rel=0.03)
    assert late.mean() == pytest.approx(ratio * expected, rel=0.1)


@pytest.mark.slow
def test_a_step_costs_nothing_for_clients_that_rest(paper_job):
    """Twenty times the clients, one of them active: the same order of time, joining left out."""
    few, many = (seconds_a_step(paper_job, clients) for clients in (100, 2_000))
    assert many < 5 * few


def seconds_a_step(paper_job, clients: int) -> float:
    times: list[float] = []
    simulate(
        paper_job,
        strategy="SequentialSplit",
        clients=clients,
        schedule_only=True,
        watch=lambda _record, _steps: times.append(time.perf_counter()),
    )
    return float(np.median(np.diff(times)))


def test_the_same_seed_gives_the_same_table_and_another_another(tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        steps = simulate(job(), seed=seed, profile="lan:0.5,lte:0.5", schedule_only=True).steps
        write_table(steps, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "same").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()
    header = (tmp_path / "one").read_text().splitlines()[0]
    assert header.startswith("epoch,attempt,batch_size,active_clients")


def test_the_summary_tells_the_batches_of_an_epochs_end():
    figures = summary(simulate(job(), strategy="FixedLocal", partition="severe", schedule_only=True))
    assert figures["deviation"]["endOfEpoch"] > 2 * figures["deviation"]["expected"]
    assert figures["batchSize"]["smallest"] < figures["batchSize"]["largest"]
    assert (figures["loss"], figures["accuracy"]) == (None, None)
