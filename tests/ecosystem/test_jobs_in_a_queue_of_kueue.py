"""A job with a queue of Kueue: its child Jobs are admitted, and preempted, by Kueue."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from manifests.jobs import NOW, body
from pslgs_operator.endpoint import Endpoint
from pslgs_operator.manifests.client import client_job
from pslgs_operator.manifests.server import server_job
from pslgs_operator.placement import Placement
from pslgs_operator.settings import Settings
from pslgs_operator.status.types import ConditionStatus, ConditionType, Phase
from pslgs_operator.training_job import TrainingJob
from status import sights

QUEUE = {"kueue.x-k8s.io/queue-name": "edge", "kueue.x-k8s.io/priority-class": "high"}


def child_jobs(labels: dict[str, str]) -> list[dict[str, Any]]:
    """The Jobs of a job with these labels, as they are created."""
    applied = body()
    applied["metadata"]["labels"] = labels
    job = TrainingJob.parse(applied)
    client = client_job(
        job, Placement("edge-0-0", "edge-0", None), Endpoint("digits-server", 7443), Settings()
    )
    return [server_job(job, 1, Settings()), client]


def test_every_child_job_is_in_the_queue_and_waits_to_be_admitted() -> None:
    for child in child_jobs({**QUEUE, "team": "vision"}):
        assert QUEUE.items() <= child["metadata"]["labels"].items()
        assert "team" not in child["metadata"]["labels"]
        assert child["spec"]["suspend"] is True


@pytest.mark.parametrize(
    "labels", [{}, {"kueue.x-k8s.io/priority-class": "high"}], ids=["no-label", "a-class-only"]
)
def test_a_job_without_a_queue_starts_at_once(labels: dict[str, str]) -> None:
    for child in child_jobs(labels):
        assert not [name for name in child["metadata"]["labels"] if "kueue" in name]
        assert "suspend" not in child["spec"]


QUEUED = sights.with_server(server=sights.server_job(suspended=True, created=sights.LONG_AGO))
ADMITTED = sights.with_server(
    sights.pending(sights.server_pod()), server=sights.server_job(created=sights.LONG_AGO, started=NOW)
)


def test_the_time_in_a_queue_does_not_count_towards_the_deadline() -> None:
    limited = {"activeDeadlineSeconds": 60}
    status = sights.assessed(QUEUED, sights.job(**limited))
    ready = status.conditions[ConditionType.READY]
    assert (status.phase, ready.reason, status.start_time) == (Phase.PENDING, "Queued", None)
    admitted = sights.assessed(ADMITTED, sights.job(status=status, **limited))
    assert (admitted.start_time, admitted.finished) == (NOW, False)
    later = sights.job(status=admitted, **limited)
    assert sights.assessed(ADMITTED, later, NOW + timedelta(seconds=60)).phase is Phase.FAILED


def test_a_job_that_is_preempted_is_queued_again_and_keeps_its_checkpoint() -> None:
    trained = replace(sights.IN_TRAINING, checkpoint=sights.assessed(sights.sight()).checkpoint)
    status = sights.assessed(QUEUED, sights.job(status=trained))
    assert status.conditions[ConditionType.READY].reason == "Queued"
    assert status.conditions[ConditionType.DEGRADED].status is ConditionStatus.FALSE
    assert (status.start_time, status.checkpoint) == (None, trained.checkpoint)
    assert status.training_start_time == trained.training_start_time
