"""Pods as the API server shows them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pslgs_operator.parse.pods import read_pod
from pslgs_operator.snapshot import ChildPod, PodPhase, Problem, TerminationMessage
from status.kubernetes import pod, running, terminated, unscheduled, waiting

PULL_ERROR = 'failed to pull and unpack image "ghcr.io/x:1": not found'
PULLING = f'Back-off pulling image "ghcr.io/x:1": ErrImagePull: {PULL_ERROR}'
NO_GPU = "Allocate failed due to no healthy devices present; cannot allocate nvidia.com/gpu"
CRASHED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "starting\nno disk\n"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


def seen(phase: str, *containers: dict[str, Any], **status: Any) -> ChildPod:
    return read_pod(pod({"phase": phase, "containerStatuses": list(containers), **status}))


def test_a_pod_that_runs() -> None:
    at = "2026-01-02T03:00:02Z"
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at}
    ready = [{"type": "Ready", "status": "True"}, scheduled]
    found = seen("Running", running(), podIP="10.88.0.7", conditions=ready)
    assert found == ChildPod(
        name="digits-server-x7k2p",
        job="digits-server",
        client=None,
        created=datetime(2026, 1, 2, 3, 0, tzinfo=UTC),
        phase=PodPhase.RUNNING,
        node="gpu-0",
        ip="10.88.0.7",
        ready=True,
        scheduled=datetime(2026, 1, 2, 3, 0, 2, tzinfo=UTC),
        started=datetime(2026, 1, 2, 3, 0, 7, tzinfo=UTC),
    )


def test_a_client_s_pod_belongs_to_its_client() -> None:
    found = read_pod(pod({"phase": "Pending"}, role="client"))
    assert (found.client, found.job) == ("edge-0-0", "digits-client-edge-0-0")


def test_a_client_whose_annotation_was_taken_away_is_no_server() -> None:
    assert read_pod(pod({}, role="client", annotations={})).client == "digits-client-edge-0-0-x7k2p"


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"job-name": "digits-server"}, id="label-of-old-clusters"),
        pytest.param({}, id="owner"),
    ],
)
def test_a_pod_is_found_to_belong_to_its_job(labels: dict[str, str]) -> None:
    assert read_pod(pod({}, labels=labels)).job == "digits-server"


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param(waiting("ContainerCreating"), None, id="being-made"),
        pytest.param(waiting("PodInitializing"), None, id="being-initialised"),
        pytest.param(
            waiting("ErrImagePull", PULL_ERROR), Problem("ImagePullBackOff", PULL_ERROR), id="cannot-pull"
        ),
        pytest.param(
            waiting("ImagePullBackOff", PULLING),
            Problem("ImagePullBackOff", PULL_ERROR),
            id="does-not-pull-now",
        ),
        pytest.param(
            waiting("ImagePullBackOff", 'Back-off pulling image "x"'),
            Problem("ImagePullBackOff", 'Back-off pulling image "x"'),
            id="older-kubelets",
        ),
        pytest.param(
            waiting("InvalidImageName", "couldn't parse"),
            Problem("InvalidImageName", "couldn't parse"),
            id="name",
        ),
        pytest.param(
            waiting("CrashLoopBackOff", "back-off 40s restarting", name="proxy", lastState=CRASHED),
            Problem("CrashLoopBackOff", "container proxy failed with exit code 1: no disk"),
            id="a-side-car-crashes",
        ),
        pytest.param(
            waiting("CrashLoopBackOff", "back-off 80s restarting", name="proxy", lastState=KILLED),
            Problem("CrashLoopBackOff", "container proxy failed with OOMKilled"),
            id="a-side-car-is-killed",
        ),
        pytest.param(
            waiting("CrashLoopBackOff", name="proxy"),
            Problem("CrashLoopBackOff", "container proxy failed with an error"),
            id="a-side-car-without-a-past",
        ),
    ],
)
def test_why_a_container_waits_is_told_in_words_that_stay(
    container: dict[str, Any], expected: Problem | None
) -> None:
    assert seen("Pending", container).waiting == expected


def test_a_long_message_is_cut_alike_whether_it_pulls_or_not() -> None:
    error = "x" * 900
    pulling = seen("Pending", waiting("ErrImagePull", error))
    backing_off = seen(
        "Pending", waiting("ImagePullBackOff", f'Back-off pulling image "y": ErrImagePull: {error}')
    )
    assert pulling.waiting == backing_off.waiting


def test_an_init_container_of_the_user_keeps_ours_from_running() -> None:
    found = seen(
        "Pending",
        waiting("PodInitializing"),
        initContainerStatuses=[waiting("ImagePullBackOff", PULLING, name="fetch")],
    )
    assert found.waiting == Problem("ImagePullBackOff", PULL_ERROR)


@pytest.mark.parametrize("reason", ["Unschedulable", "SchedulingGated"])
def test_why_a_pod_has_no_node(reason: str) -> None:
    found = read_pod(pod(unscheduled("0/3 nodes are available:\n3 Insufficient nvidia.com/gpu.", reason)))
    assert found.unscheduled == Problem(reason, "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    assert found.phase is PodPhase.PENDING


@pytest.mark.parametrize(
    ("status", "code", "reason", "words"),
    [
        pytest.param(
            {"containerStatuses": [terminated(2, "Error", '{"exitCode": 2, "message": "no such layer"}')]},
            2,
            "Error",
            TerminationMessage(2, "no such layer"),
            id="with-last-words",
        ),
        pytest.param(
            {"containerStatuses": [terminated(137, "OOMKilled")]},
            137,
            "OOMKilled",
            TerminationMessage(137, ""),
            id="killed",
        ),
        pytest.param(
            {
                "reason": "UnexpectedAdmissionError",
                "message": NO_GPU,
            },
            None,
            "UnexpectedAdmissionError",
            TerminationMessage(None, NO_GPU),
            id="refused-by-its-node",
        ),
        pytest.param(
            {
                "reason": "Evicted",
                "message": "The node was low on resource: memory.",
                "containerStatuses": [terminated(137, "Error")],
            },
            137,
            "Evicted",
            TerminationMessage(None, "The node was low on resource: memory."),
            id="evicted",
        ),
        pytest.param(
            {
                "containerStatuses": [waiting("PodInitializing")],
                "initContainerStatuses": [
                    terminated(0, "Completed", name="first"),
                    terminated(2, "Error", "no route to host", name="fetch"),
                ],
            },
            None,
            "Error",
            TerminationMessage(None, "container fetch failed with exit code 2: no route to host"),
            id="an-init-container-failed-whose-exit-code-is-not-ours",
        ),
        pytest.param({"containerStatuses": [running()]}, None, "", None, id="nothing-known"),
    ],
)
def test_how_a_pod_failed(
    status: dict[str, Any], code: int | None, reason: str, words: TerminationMessage | None
) -> None:
    found = read_pod(pod({"phase": "Failed", **status}))
    assert (found.exit_code, found.end_reason, found.termination_message) == (code, reason, words)


def test_our_container_is_known_among_others() -> None:
    found = seen("Failed", terminated(1, "Error", name="proxy"), terminated(3, "Error", "no quorum"))
    assert (found.exit_code, found.termination_message) == (3, TerminationMessage(3, "no quorum"))


@pytest.mark.parametrize(
    ("code", "phase"),
    [pytest.param(0, PodPhase.SUCCEEDED, id="well"), pytest.param(3, PodPhase.FAILED, id="badly")],
)
@pytest.mark.parametrize("place", ["containerStatuses", "initContainerStatuses"], ids=["beside", "native"])
def test_a_pod_has_ended_with_our_container_although_a_sidecar_runs(
    place: str, code: int, phase: PodPhase
) -> None:
    own, proxy = terminated(code, "Completed"), running("istio-proxy")
    statuses: dict[str, list[dict[str, Any]]] = {"containerStatuses": [own]}
    statuses.setdefault(place, []).append(proxy)
    found = read_pod(pod({"phase": "Running", **statuses}))
    assert (found.phase, found.running_on, found.exit_code) == (phase, ("istio-proxy",), code)
    assert found.finished == datetime(2026, 1, 2, 3, 10, tzinfo=UTC)
    assert not found.has_ended


def test_a_pod_whose_sidecar_ended_first_runs() -> None:
    found = seen("Running", running(), terminated(1, "Error", name="istio-proxy"))
    assert (found.phase, found.running_on, found.finished) == (PodPhase.RUNNING, (), None)


def test_a_pod_that_the_cluster_ended_says_why() -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    found = seen("Failed", terminated(143, "Error"), conditions=[target])
    assert found.disruption == "DeletionByTaintManager"
    assert read_pod(pod({}, deletionTimestamp="2026-01-02T03:30:00Z")).deleting


def test_a_pod_of_which_only_the_name_is_known_is_pending() -> None:
    assert read_pod({"metadata": {"name": "x"}}).phase is PodPhase.PENDING
