from dataclasses import replace
from datetime import timedelta

import pytest

from manifests.jobs import NOW, job
from planning_jobs.statuses import complete, failed, in_training
from planning_jobs.world import DEFAULTS, World, carried_out
from pslgs_operator.due_times import lifecycle_times
from pslgs_operator.requeue import RESYNC, Requeue
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ChildJobState, PodPhase, ServerReply, ServerReport
from pslgs_operator.status.types import JobStatus
from pslgs_operator.training_job import TrainingJob

STARTED = carried_out(World(NOW).with_nodes("edge-0"), job(), JobStatus())
PENDING = replace(
    STARTED, pods={name: replace(pod, phase=PodPhase.PENDING) for name, pod in STARTED.pods.items()}
)
HOURLY = Settings(certificate_lifetime=timedelta(hours=1))


def delay(
    world: World,
    wanted: TrainingJob,
    status: JobStatus,
    settings: Settings = DEFAULTS,
    polled: timedelta = timedelta(0),
    **observed: object,
) -> timedelta:
    """Time until the next reconcile of a job whose server was polled so long ago."""
    snapshot = replace(world.snapshot(), **observed)
    requeue = Requeue(world.now)
    requeue.at(*lifecycle_times(wanted, status, snapshot, world.now - polled, settings))
    return requeue.delay(world.now)


@pytest.mark.parametrize(
    ("world", "wanted", "status", "expected"),
    [
        pytest.param(PENDING, job(), in_training(), RESYNC, id="nothing-is-expected"),
        pytest.param(STARTED, job(), in_training(), timedelta(seconds=5), id="the-server-is-asked"),
        pytest.param(
            PENDING, job(activeDeadlineSeconds=60), in_training(), timedelta(seconds=60), id="the-deadline"
        ),
        pytest.param(
            PENDING.later(seconds=60),
            job(activeDeadlineSeconds=60),
            in_training(),
            RESYNC,
            id="a-deadline-that-is-over",
        ),
        pytest.param(PENDING, job(activeDeadlineSeconds=3600), in_training(), RESYNC, id="a-far-deadline"),
        pytest.param(
            PENDING, job(suspend=True, activeDeadlineSeconds=60), in_training(), RESYNC, id="suspended"
        ),
        pytest.param(STARTED, job(), complete(), timedelta(seconds=60), id="clients-that-linger"),
        pytest.param(World(NOW), job(), complete(), RESYNC, id="no-client-that-lingers"),
        pytest.param(
            World(NOW), job(ttlSecondsAfterFinished=7), failed(), timedelta(seconds=7), id="time-to-live"
        ),
    ],
)
def test_a_job_is_reconciled_again_when_something_will_have_to_be_done(world, wanted, status, expected):
    assert delay(world, wanted, status) == expected


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        pytest.param(PENDING.later(minutes=35), timedelta(minutes=5), id="before"),
        pytest.param(PENDING.later(minutes=50), RESYNC, id="due-and-so-done-just-now"),
        pytest.param(
            PENDING.later(minutes=35)
            .with_job_state("digits-server", ChildJobState.COMPLETE)
            .with_job_state("digits-client-edge-0-0", ChildJobState.FAILED),
            RESYNC,
            id="over",
        ),
    ],
)
def test_certificates_are_renewed_in_time(world, expected):
    renewed = replace(world.certificates["digits-server-tls"], renew_after=NOW + timedelta(minutes=40))
    certified = replace(world, certificates={renewed.name: renewed})
    assert delay(certified, job(), in_training(), HOURLY) == expected


def test_a_server_that_falls_silent_is_noticed():
    heard = ServerReply(ServerReport("Training"), NOW - timedelta(seconds=10))
    assert delay(PENDING, job(), in_training(), server_reply=heard) == timedelta(seconds=20)


def test_polls_keep_their_pace_though_other_reconciles_come_between():
    assert delay(STARTED, job(), in_training(), polled=timedelta(seconds=3)) == timedelta(seconds=2)


class TestTheRequeue:
    def test_the_earliest_time_counts(self):
        requeue = Requeue(NOW)
        requeue.at(NOW + timedelta(seconds=9), None, NOW + timedelta(seconds=7), NOW + timedelta(hours=1))
        assert requeue.delay(NOW) == timedelta(seconds=7)

    def test_the_time_that_the_reconcile_took_is_no_delay(self):
        requeue = Requeue(NOW)
        requeue.after(timedelta(seconds=5))
        assert requeue.delay(NOW + timedelta(seconds=2)) == timedelta(seconds=3)
        assert requeue.delay(NOW + timedelta(seconds=8)) == timedelta(0)

    def test_what_is_past_has_just_been_done(self):
        requeue = Requeue(NOW)
        requeue.at(NOW, NOW - timedelta(seconds=1))
        assert requeue.delay(NOW) == RESYNC
