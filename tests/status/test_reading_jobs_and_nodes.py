"""Child Jobs and nodes as the API server shows them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pslgs_operator.parse.jobs import read_job
from pslgs_operator.parse.nodes import read_node
from pslgs_operator.snapshot import ChildJob, ChildJobState, Node
from status.kubernetes import child_job, node

CREATED = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
LATER = "2026-01-02T04:00:00Z"


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> dict[str, Any]:
    return {
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": LATER
    }  # fmt: skip


def test_a_client_s_job_that_runs() -> None:
    assert read_job(child_job({"active": 1, "ready": 1, "startTime": LATER, "failed": 2})) == ChildJob(
        name="digits-client-edge-0-0",
        uid="uid-of-it",
        client="edge-0-0",
        node="edge-0",
        share=3,
        spec_digest="0123456789abcdef",
        state=ChildJobState.ACTIVE,
        created=CREATED,
        failures=2,
        started=datetime(2026, 1, 2, 4, tzinfo=UTC),
    )


def test_the_server_s_job_has_no_client() -> None:
    found = read_job(child_job({}, role="server"))
    assert (found.client, found.node, found.share) == (None, None, None)


@pytest.mark.parametrize(
    ("conditions", "state", "reason"),
    [
        pytest.param([], ChildJobState.ACTIVE, "", id="new"),
        pytest.param(
            [condition("SuccessCriteriaMet", "CompletionsReached")],
            ChildJobState.ACTIVE,
            "",
            id="ending-well",
        ),
        pytest.param(
            [condition("FailureTarget", "PodFailurePolicy")], ChildJobState.ACTIVE, "", id="ending-badly"
        ),
        pytest.param(
            [condition("SuccessCriteriaMet"), condition("Complete", "CompletionsReached")],
            ChildJobState.COMPLETE,
            "CompletionsReached",
            id="complete",
        ),
        pytest.param(
            [condition("FailureTarget"), condition("Failed", "BackoffLimitExceeded")],
            ChildJobState.FAILED,
            "BackoffLimitExceeded",
            id="failed",
        ),
        pytest.param([condition("Failed", status="False")], ChildJobState.ACTIVE, "", id="not-failed"),
        pytest.param(
            [condition("Suspended", "JobSuspended")], ChildJobState.ACTIVE, "", id="suspended-by-somebody"
        ),
    ],
)
def test_how_far_a_job_is(conditions: list[dict[str, Any]], state: ChildJobState, reason: str) -> None:
    found = read_job(child_job({"conditions": conditions}))
    assert (found.state, found.reason) == (state, reason)


@pytest.mark.parametrize(
    ("spec", "conditions", "suspended"),
    [
        pytest.param({"suspend": True}, [], True, id="just-created"),
        pytest.param({}, [condition("Suspended", "JobSuspended")], True, id="by-its-condition"),
        pytest.param(
            {"suspend": False}, [condition("Suspended", "JobResumed", status="False")], False, id="no"
        ),
    ],
)
def test_a_suspended_job_is_known(
    spec: dict[str, Any], conditions: list[dict[str, Any]], *, suspended: bool
) -> None:
    assert read_job({**child_job({"conditions": conditions}), "spec": spec}).suspended is suspended


def test_when_a_job_ended() -> None:
    failed = read_job(
        child_job({"conditions": [condition("Failed", "PodFailurePolicy", "Container server for …")]})
    )
    assert (failed.ended, failed.message) == (datetime(2026, 1, 2, 4, tzinfo=UTC), "Container server for …")
    done = {"conditions": [condition("Complete")], "completionTime": "2026-01-02T03:59:00Z"}
    assert read_job(child_job(done)).ended == datetime(2026, 1, 2, 3, 59, tzinfo=UTC)


@pytest.mark.parametrize("share", ["", "-1", "x", "²", "9" * 12])
def test_a_share_that_is_no_number_is_none(share: str) -> None:
    assert read_job(child_job({}, annotations={"pslgs.dev/share": share})).share is None


def test_a_job_of_which_little_is_known_can_be_read() -> None:
    found = read_job({"metadata": {"name": "x", "deletionTimestamp": LATER}})
    assert (found.state, found.spec_digest, found.deleting) == (ChildJobState.ACTIVE, "", True)


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        pytest.param("True", True, id="ready"),
        pytest.param("False", False, id="not-ready"),
        pytest.param("Unknown", False, id="silent"),
    ],
)
def test_a_node_is_ready_when_its_kubelet_says_so(ready: str, *, expected: bool) -> None:
    labels = {"pslgs.dev/edge": "true", "kubernetes.io/os": "linux"}
    assert read_node(node(ready=ready)) == Node("edge-0", labels, expected)


@pytest.mark.parametrize(("ready", "since"), [("True", datetime(2026, 1, 2, 4, tzinfo=UTC)), ("False", None)])
def test_since_when_a_node_is_ready(ready: str, since: datetime | None) -> None:
    body = {"metadata": {"name": "edge-0"}, "status": {"conditions": [condition("Ready", status=ready)]}}
    assert read_node(body).ready_since == since


def test_a_cordoned_node_is_unschedulable() -> None:
    assert read_node(node(unschedulable=True)).unschedulable


def test_a_node_that_was_just_registered_is_not_ready() -> None:
    assert read_node({"metadata": {"name": "edge-9"}}) == Node("edge-9", {}, ready=False)
