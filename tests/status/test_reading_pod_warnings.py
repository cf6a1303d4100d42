"""What Kubernetes tells in Events only."""

from typing import Any

import pytest

from pslgs_operator.parse.pod_warnings import read_pod_warnings
from pslgs_operator.snapshot import Problem

MOUNT = 'MountVolume.SetUp failed for volume "digits" : hostPath type check failed: /srv is not a directory'


def warning(
    message: str = MOUNT, reason: str = "FailedMount", minute: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "involvedObject": {"kind": "Pod", "name": "digits-client-edge-0-0-x"},
        "reason": reason,
        "message": message,
        "lastTimestamp": f"2026-01-01T00:{minute:02}:00Z",
        **more,
    }


def test_a_warning_is_read_by_the_name_of_what_does_not_start() -> None:
    assert read_pod_warnings([warning()]) == {"digits-client-edge-0-0-x": Problem("FailedMount", MOUNT)}


@pytest.mark.parametrize(
    "passing",
    [
        pytest.param(warning("Back-off restarting failed container", "BackOff"), id="not-about-the-start"),
        pytest.param(warning("0/3 nodes are available", "FailedScheduling"), id="before-it-had-a-node"),
        pytest.param(warning("failed to sync configmap cache: timed out"), id="it-only-has-not-heard-yet"),
        pytest.param(
            warning(
                'MountVolume.SetUp failed for volume "job" : object "lab"/"digits-manifest" not registered'
            ),
            id="its-kubelet-has-started-anew",
        ),
        pytest.param(
            warning(
                'error processing PVC lab/digits-checkpoints: User "system:node:edge-0" cannot get resource '
                "\"persistentvolumeclaims\": no relationship found between node 'edge-0' and this object"
            ),
            id="its-node-may-not-read-it-yet",
        ),
        pytest.param(
            warning(
                "unable to create new content in namespace lab because it is being terminated", "FailedCreate"
            ),
            id="its-namespace-is-being-deleted",
        ),
    ],
)
def test_what_passes_or_is_known_otherwise_is_no_complaint(passing: dict[str, Any]) -> None:
    assert read_pod_warnings([passing]) == {}


def test_a_complaint_stays_the_same_while_its_events_come_by_turns() -> None:
    summary = warning("Unable to attach or mount volumes: unmounted volumes=[digits]", minute=4)
    for events in ([summary, warning()], [warning(minute=4), {**summary, "lastTimestamp": None}]):
        assert {each.message for each in read_pod_warnings(events).values()} == {MOUNT}


def test_what_was_mended_long_before_the_last_complaint_is_not_told() -> None:
    [told] = read_pod_warnings([warning("A", minute=0), warning("B", minute=9)]).values()
    assert told.message == "B"


def test_names_that_differ_with_each_attempt_are_left_out() -> None:
    said = (
        'Error creating: pods "digits-client-edge-0-0-abcde" is forbidden: violates PodSecurity "restricted"'
    )
    [told] = read_pod_warnings([warning(said, "FailedCreate")]).values()
    assert told.message == 'its pod is forbidden: violates PodSecurity "restricted"'


@pytest.mark.parametrize("event", [{}, {"reason": "FailedMount"}, {"involvedObject": 3}], ids=str)
def test_events_of_other_forms_do_no_harm(event: dict[str, Any]) -> None:
    assert all(trouble.message == "" for trouble in read_pod_warnings([event]).values())
