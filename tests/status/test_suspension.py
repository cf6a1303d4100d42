"""A job that is suspended: nothing runs, nothing is lost."""

from dataclasses import replace
from datetime import timedelta

from manifests.jobs import NOW
from pslgs_operator.snapshot import Snapshot
from pslgs_operator.status.types import Clients, ConditionStatus, ConditionType, Phase, SavedCheckpoint
from status.sights import (
    IN_TRAINING,
    assessed,
    client_pod,
    ended,
    job,
    nodes,
    pending,
    said,
    server_job,
    server_pod,
    server_reply,
    sight,
    with_server,
)

CHECKPOINT = SavedCheckpoint(40, NOW)
STOPPED = job(status=replace(IN_TRAINING, checkpoint=CHECKPOINT), suspend=True)
NOTHING = Snapshot(nodes=nodes())


def test_a_job_is_suspended_once_no_pod_is_left() -> None:
    status = assessed(NOTHING, STOPPED)
    found = said(status, ConditionType.SUSPENDED)
    assert (status.phase, found.status) == (Phase.SUSPENDED, ConditionStatus.TRUE)
    assert found.message == "set spec.suspend to false to go on with the checkpoint of step 40"
    assert said(status, ConditionType.READY).reason == "Suspended"


def test_the_last_words_of_the_server_tell_of_the_last_checkpoint() -> None:
    report = server_reply(
        phase="Interrupted", step=57, checkpoint_step=57, checkpoint_time=NOW.timestamp()
    ).report
    seen = Snapshot(nodes=nodes(), pods=(ended(server_pod(), 75, report=report),))
    status = assessed(seen, STOPPED)
    assert (status.training.step, status.checkpoint) == (57, SavedCheckpoint(57, NOW))
    assert "step 57" in said(status, ConditionType.SUSPENDED).message
    assert assessed(NOTHING, job(status=status, suspend=True)) == status


def test_the_last_words_are_heard_of_a_pod_that_is_gone_already() -> None:
    report = server_reply(
        phase="Interrupted", step=57, checkpoint_step=57, checkpoint_time=NOW.timestamp()
    ).report
    seen = replace(NOTHING, last_server_pod=ended(server_pod(), 75, report=report))
    assert assessed(seen, STOPPED).checkpoint == SavedCheckpoint(57, NOW)
    later = server_pod(created=NOW, deleting=True)
    assert assessed(replace(seen, pods=(later,)), STOPPED).checkpoint == CHECKPOINT


def test_pods_that_still_end_are_named() -> None:
    seen = Snapshot(nodes=nodes(), pods=(server_pod(deleting=True), client_pod("edge-0-0", deleting=True)))
    found = said(assessed(seen, STOPPED), ConditionType.SUSPENDED)
    assert (found.status, found.reason) == (ConditionStatus.FALSE, "Suspending")
    assert found.message == "still there: digits-client-edge-0-0-1 and digits-server-a"


def test_jobs_that_have_no_pods_yet_keep_it_from_being_suspended() -> None:
    seen = Snapshot(nodes=nodes(), server=server_job())
    assert said(assessed(seen, STOPPED), ConditionType.SUSPENDED).message == "still there: digits-server"


def test_pods_that_have_ended_hold_nothing() -> None:
    seen = Snapshot(nodes=nodes(), pods=(ended(server_pod(), 75),))
    assert assessed(seen, STOPPED).phase is Phase.SUSPENDED


def test_the_clock_of_the_deadline_stops_and_starts_anew() -> None:
    stopped = assessed(NOTHING, STOPPED)
    assert stopped.start_time is None
    going = server_job(created=NOW - timedelta(hours=2), deleting=True)
    assert assessed(sight(server=going), job(status=stopped)).start_time is None
    resumed = with_server(pending(server_pod(created=NOW)), server=server_job(created=NOW))
    assert assessed(resumed, job(status=stopped)).start_time == NOW


def test_what_was_learnt_is_kept_but_nobody_takes_part() -> None:
    status = assessed(NOTHING, STOPPED)
    assert (status.training.epoch, status.training.loss) == (2, "0.0180")
    assert (status.training.eta, status.training.samples_per_second) == ("", "")
    assert (status.checkpoint, status.training_start_time) == (CHECKPOINT, NOW)
    assert status.clients == Clients(expected=3)
    assert (status.server.pod, status.server.node) == ("", "")


def test_a_resumed_server_was_not_restarted() -> None:
    stopped = assessed(NOTHING, STOPPED)
    status = assessed(sight(), job(status=stopped))
    assert (status.phase, status.server.restarts) == (Phase.RUNNING, 0)


def test_a_job_that_was_suspended_from_the_start_says_so() -> None:
    assert assessed(NOTHING, job(suspend=True)).phase is Phase.SUSPENDED
