"""Clients that a profile loses: the coordinator treats them as it treats real losses."""

from collections import Counter

import pytest

from pslgs.simulation.api import simulate
from pslgs.simulation.setup import Part
from pslgs.spec.profiles import PROFILES
from pslgs.telemetry.records import AbortRecord, ClientRecord, SkippedRecord, StepRecord
from simulation.jobs import job


def unreliable(dropout: float) -> list[Part]:
    return [Part(PROFILES["lte"].model_copy(update={"dropout": dropout}), 1.0)]


def histories(dropout: float, **arguments):
    taken = []
    result = simulate(
        job(), profile=unreliable(dropout), watch=lambda record, _: taken.append(record), **arguments
    )
    return result, taken


@pytest.mark.slow
@pytest.mark.parametrize("schedule_only", [False, True], ids=["trained", "schedule only"])
def test_lost_clients_cost_attempts_and_no_sample(schedule_only):
    result, taken = histories(0.03, schedule_only=schedule_only)
    aborts = [record for record in taken if isinstance(record, AbortRecord)]
    assert aborts
    assert result.steps.attempt.max() > 1
    assert {record.cause for record in aborts} == {"client_lost"}
    used: Counter = Counter()
    for step in (record for record in taken if isinstance(record, StepRecord)):
        for client, (offset, samples) in step.allocation.items():
            used.update((step.epoch, client, position) for position in range(offset, offset + samples))
    assert set(used.values()) == {1}
    skipped = sum(sum(each.samples.values()) for each in taken if isinstance(each, SkippedRecord))
    assert len(used) + skipped == 2 * result.samples


def test_losses_are_recorded_with_their_returns():
    _, taken = histories(0.05, schedule_only=True)
    changes = [record for record in taken if isinstance(record, ClientRecord)]
    lost = Counter(record.client for record in changes if record.change == "lost")
    back = Counter(record.client for record in changes if record.change == "joined")
    assert lost
    assert all(0 <= lost[client] - back[client] <= 1 for client in lost)


def test_the_same_seed_loses_the_same_clients():
    one, other = (histories(0.05, schedule_only=True)[0].steps for _ in range(2))
    assert one.attempt.tolist() == other.attempt.tolist()
    assert one.modelled_seconds.tolist() == other.modelled_seconds.tolist()


def test_abandoned_attempts_are_part_of_the_modelled_time():
    undisturbed, disturbed = (histories(dropout, schedule_only=True)[0].steps for dropout in (0.0, 0.1))
    assert disturbed.modelled_seconds.sum() > 1.2 * undisturbed.modelled_seconds.sum()


@pytest.mark.slow
def test_a_job_goes_on_although_everybody_was_lost_at_once():
    result, _ = histories(0.97, clients=2, partition="iid", schedule_only=True)
    assert result.finish.outcome == "FINISHED"
