"""Failed pods of clients do not accumulate."""

from dataclasses import replace
from datetime import timedelta

import pytest

from manifests.jobs import NOW
from pslgs_operator.pod_cleanup import surplus_pods
from pslgs_operator.snapshot import ChildPod, PodPhase, Snapshot
from status.sights import client_job

JOB = replace(client_job("edge-0-0"), uid="uid-of-job")


def pods(number: int) -> tuple[ChildPod, ...]:
    return tuple(
        ChildPod(
            f"pod-{n}",
            JOB.name,
            "edge-0-0",
            NOW + timedelta(seconds=n),
            PodPhase.FAILED,
            uid=f"uid-{n}",
            owner=JOB.uid,
        )
        for n in range(number)
    )


def deleted(*seen: ChildPod) -> list[str | None]:
    return [each.uid for each in surplus_pods(Snapshot(clients={"edge-0-0": JOB}, pods=seen))]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(0, [], id="none"),
        pytest.param(3, [], id="few"),
        pytest.param(5, ["uid-0", "uid-1"], id="some"),
    ],
)
def test_the_newest_three_failed_pods_of_a_client_are_kept(number: int, expected: list[str]) -> None:
    assert deleted(*pods(number)) == deleted(*reversed(pods(number))) == expected


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"phase": PodPhase.RUNNING}, id="running"),
        pytest.param({"phase": PodPhase.SUCCEEDED}, id="succeeded"),
        pytest.param({"deleting": True}, id="being-deleted"),
        pytest.param({"owner": "another"}, id="of-somebody-else"),
        pytest.param({"owner": ""}, id="of-nobody"),
    ],
)
def test_other_pods_are_left_alone(changes: dict[str, object]) -> None:
    assert deleted(*(replace(pod, **changes) for pod in pods(9))) == []


def test_the_reason_is_given_for_the_log() -> None:
    first = next(surplus_pods(Snapshot(clients={"edge-0-0": JOB}, pods=pods(4))))
    assert first.why == f"the newest 3 failed pods of Job {JOB.name} are kept"
