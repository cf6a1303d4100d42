"""What Flux (kstatus) and Argo CD (its health check in Lua) take a job for."""

from pathlib import Path
from typing import Any

import lupa
import pytest

from ecosystem.kstatus import kstatus
from manifests.jobs import NOW
from pslgs.spec.errors import Violation
from pslgs_operator.assessment.compute import invalid_status
from pslgs_operator.snapshot import ChildJobState, Snapshot
from pslgs_operator.status.types import ConditionStatus, ConditionType, JobStatus
from status.sights import (
    CLIENTS,
    IN_TRAINING,
    assessed,
    ended,
    job,
    nodes,
    server_job,
    server_pod,
    server_reply,
    sight,
    with_server,
)

HEALTH_CHECK = Path(__file__).parents[2] / "docs" / "argocd" / "health.lua"
TRAINED = job(status=IN_TRAINING)
COMPLETE = assessed(
    with_server(ended(server_pod(), 0), server=server_job(state=ChildJobState.COMPLETE)), TRAINED
)
FAILED = assessed(
    with_server(ended(server_pod(), 3, words="0 of 2"), server=server_job(state=ChildJobState.FAILED)),
    TRAINED,
)
INVALID = invalid_status(JobStatus(), 1, [Violation("spec.epochs", "is 0")], NOW)
LOST = assessed(sight(server_reply=server_reply(live=CLIENTS[1:], lost=CLIENTS[:1])), TRAINED)
SUSPENDED = assessed(Snapshot(nodes=nodes()), job(suspend=True))
QUEUED = assessed(with_server(server=server_job(suspended=True)))


def resource(status: JobStatus, generation: int = 1) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "status": status.to_json()}


CASES = [
    pytest.param(JobStatus(observed_generation=1), "Current", "Progressing", id="never-seen"),
    pytest.param(assessed(Snapshot(nodes=nodes())), "InProgress", "Progressing", id="just-applied"),
    pytest.param(QUEUED, "InProgress", "Progressing", id="queued"),
    pytest.param(IN_TRAINING, "InProgress", "Progressing", id="training"),
    pytest.param(LOST, "InProgress", "Degraded", id="a-client-is-lost"),
    pytest.param(SUSPENDED, "InProgress", "Suspended", id="suspended"),
    pytest.param(COMPLETE, "Current", "Healthy", id="complete"),
    pytest.param(FAILED, "Failed", "Degraded", id="failed"),
    pytest.param(INVALID, "Failed", "Degraded", id="invalid"),
]


@pytest.mark.parametrize(("status", "expected", "_health"), CASES)
def test_kstatus_is_current_when_the_training_is_complete(
    status: JobStatus, expected: str, _health: str
) -> None:
    assert kstatus(resource(status)) == expected


def test_kstatus_waits_for_the_operator_to_see_a_change() -> None:
    assert kstatus(resource(COMPLETE, generation=2)) == "InProgress"


@pytest.mark.parametrize(("status", "_kstatus", "expected"), CASES)
def test_argo_cd_shows_how_healthy_a_job_is(status: JobStatus, _kstatus: str, expected: str) -> None:
    assert health(resource(status))["status"] == expected


def test_argo_cd_shows_why_a_job_failed() -> None:
    assert health(resource(FAILED))["message"] == "0 of 2"
    assert health(resource(COMPLETE, generation=2))["status"] == "Progressing"
    assert health({"metadata": {"generation": 1}})["status"] == "Progressing"


@pytest.mark.parametrize(
    "status", [COMPLETE, FAILED, INVALID, IN_TRAINING, SUSPENDED], ids=lambda each: each.phase
)
def test_every_condition_has_a_message(status: JobStatus) -> None:
    assert set(status.conditions) == set(ConditionType)
    assert [each.type for each in status.conditions.values() if not each.message] == []


def test_a_complete_job_is_ready_and_a_failed_one_is_not() -> None:
    for status, expected in ((COMPLETE, ConditionStatus.TRUE), (FAILED, ConditionStatus.FALSE)):
        found = status.conditions[ConditionType.READY]
        assert (found.status, found.reason) == (expected, status.phase)


def health(shown: dict[str, Any]) -> dict[str, str]:
    """Run the health check as Argo CD does: with the resource as the global `obj`."""
    lua = lupa.LuaRuntime(unpack_returned_tuples=True)
    lua.globals()["obj"] = lua.table_from(shown, recursive=True)
    return dict(lua.execute(HEALTH_CHECK.read_text()))
