"""When a job is over, and what is said of it then."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from manifests.jobs import NOW
from pslgs_operator.actions import Delete
from pslgs_operator.assessment import timeouts
from pslgs_operator.assessment.timeouts import times
from pslgs_operator.placement import place_clients
from pslgs_operator.plan_context import PlanContext
from pslgs_operator.planner import LINGERING, plan
from pslgs_operator.snapshot import ChildJobState, ChildPod, PodPhase, Snapshot, TerminationMessage
from pslgs_operator.status.types import Clients, ConditionStatus, ConditionType, JobStatus, ModelPlace, Phase
from status.sights import (
    CLIENTS,
    IN_TRAINING,
    LONG_AGO,
    SETTINGS,
    assessed,
    client_job,
    client_pod,
    ended,
    job,
    report,
    said,
    server_job,
    server_pod,
    sight,
    with_server,
)

TRAINED = job(status=IN_TRAINING)
ENDED = NOW - timedelta(seconds=5)
LAST = report("Finished", step=100, progress=1.0, accuracy=0.97, live=(), live_count=3, lost_count=0)
FINISHED = ended(server_pod(), 0, "Completed", "trained 3 epochs, 100 steps", report=LAST)
BY_POLICY = (
    "Container server for pod lab/digits-server-a failed with exit code {} matching FailJob rule at index 0"
)


def complete(*pods: ChildPod, **fields: Any) -> Snapshot:
    return with_server(*pods, server=server_job(state=ChildJobState.COMPLETE, ended=ENDED, **fields))


def failed(*pods: ChildPod, reason: str = "PodFailurePolicy", message: str = "") -> Snapshot:
    server = server_job(state=ChildJobState.FAILED, ended=ENDED, reason=reason, message=message)
    return with_server(*pods, server=server)


def test_a_job_is_complete_when_its_server_is_and_tells_the_final_figures() -> None:
    status = assessed(complete(FINISHED), TRAINED)
    found = said(status, ConditionType.COMPLETE)
    assert (status.phase, found.status, found.reason) == (
        Phase.COMPLETE,
        ConditionStatus.TRUE,
        "TrainingFinished",
    )
    assert found.message == (
        "trained 3 epochs, 100 steps; "
        "the model is digits/model.safetensors in the volume claim digits-checkpoints"
    )
    assert (status.training.progress, status.training.accuracy) == ("100%", "97.0%")
    assert status.training.eta == ""
    assert status.model == ModelPlace("digits-checkpoints", "digits/model.safetensors")
    assert status.completion_time == ENDED
    assert status.clients == Clients(expected=3, live=3)


def test_a_job_that_stopped_early_says_so_and_when() -> None:
    words = "stopped early after epoch 2 of 3, 66 steps: Loss has not improved in 5 evaluations"
    pod = ended(server_pod(), 0, "Completed", words, report=replace(LAST, stopped_early=True))
    found = said(assessed(complete(pod), TRAINED), ConditionType.COMPLETE)
    assert (found.status, found.reason) == (ConditionStatus.TRUE, "StoppedEarly")
    assert found.message.startswith(words)


def test_a_job_that_the_operator_missed_is_told_in_full() -> None:
    status = assessed(complete(FINISHED), job())
    assert status.clients == Clients(expected=3, live=3)
    assert (status.training_start_time, status.start_time) == (ENDED, server_job().created)
    assert status.training.step == 100


def test_a_job_whose_last_words_are_lost_keeps_what_was_known() -> None:
    status = assessed(complete(), TRAINED)
    assert status.phase is Phase.COMPLETE
    assert status.clients == IN_TRAINING.clients
    assert status.training == replace(IN_TRAINING.training, samples_per_second="", eta="")


def test_a_job_without_storage_says_that_its_model_is_gone() -> None:
    status = assessed(complete(FINISHED), job(checkpoint={}))
    assert status.model is None
    assert "the model ended with the server's pod" in said(status, ConditionType.COMPLETE).message


def test_last_words_that_are_under_way_are_waited_for_but_not_forever() -> None:
    seen = complete(server_pod())
    assert not assessed(seen, TRAINED).finished
    assert assessed(seen, TRAINED, NOW + timedelta(minutes=1)).phase is Phase.COMPLETE


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        pytest.param(
            failed(ended(server_pod(), 2, words="spec.model.cutLayer: there is no layer foo")),
            "BadInput",
            "spec.model.cutLayer: there is no layer foo",
            id="bad-input",
        ),
        pytest.param(
            failed(ended(server_pod(), 2, words="client edge-1-0: spec.data.train.path: nothing is there")),
            "BadInput",
            "client edge-1-0: spec.data.train.path: nothing is there",
            id="a-client's-bad-input",
        ),
        pytest.param(
            failed(ended(server_pod(), 3, words="0 of at least 2 clients")),
            "QuorumLost",
            "0 of at least 2 clients",
            id="quorum-lost",
        ),
        pytest.param(
            failed(ended(server_pod(), 4, words="edge-1-0 was lost")),
            "ClientLost",
            "edge-1-0",
            id="client-lost",
        ),
        pytest.param(
            failed(ended(server_pod(), 5, words="too late")), "DeadlineExceeded", "too late", id="deadline"
        ),
        pytest.param(
            failed(ended(server_pod(), 8, words="the training diverged")),
            "Diverged",
            "the training diverged",
            id="diverged",
        ),
        pytest.param(
            failed(ended(server_pod(), 9, words="client edge-1-0 sent NaN")),
            "NonFiniteValues",
            "edge-1-0",
            id="non-finite-values",
        ),
        pytest.param(
            failed(ended(server_pod(), 11, words="client edge-1-0 violated the protocol")),
            "HostileClient",
            "edge-1-0",
            id="hostile",
        ),
        pytest.param(
            failed(message=BY_POLICY.format(3)), "QuorumLost", "failed with exit code 3", id="the-pod-is-gone"
        ),
        pytest.param(
            failed(ended(server_pod(), 137, "OOMKilled"), reason="BackoffLimitExceeded"),
            "BackoffLimitExceeded",
            "failed more often than spec.backoffLimit (6) allows; the last time, pod digits-server-a on node "
            "gpu-0 ran out of memory (OOMKilled); raise spec.server.template.spec.containers[name=server]"
            ".resources.limits.memory",
            id="backoff-limit",
        ),
        pytest.param(
            failed(ended(server_pod(), 1, words="boom"), reason="DeadlineExceeded", message="Job was active"),
            "DeadlineExceeded",
            "Job was active; the last time, pod digits-server-a on node gpu-0 failed with exit code 1: boom",
            id="somebody-else's-reason",
        ),
    ],
)
def test_a_job_fails_with_its_server_and_repeats_what_it_said(
    seen: Snapshot, reason: str, words: str
) -> None:
    status = assessed(seen, TRAINED)
    found = said(status, ConditionType.FAILED)
    assert (status.phase, found.reason, status.completion_time) == (Phase.FAILED, reason, ENDED)
    assert words in found.message
    assert status.model is None


@pytest.mark.parametrize(
    ("seconds", "phase"),
    [pytest.param(3601, Phase.RUNNING, id="just-in-time"), pytest.param(3600, Phase.FAILED, id="too-late")],
)
def test_a_job_fails_when_its_deadline_is_over(seconds: int, phase: Phase) -> None:
    old = replace(IN_TRAINING, start_time=LONG_AGO)
    status = assessed(sight(), job(status=old, activeDeadlineSeconds=seconds))
    assert status.phase is phase
    if phase is Phase.FAILED:
        assert said(status, ConditionType.FAILED).reason == "DeadlineExceeded"
        assert status.completion_time == NOW
        assert (status.training.samples_per_second, status.training.eta) == ("5,829", "")


def test_a_deadline_that_was_over_before_anybody_looked_is_over_at_the_first_look() -> None:
    seen = sight(server=server_job(created=LONG_AGO))
    assert assessed(seen, job(activeDeadlineSeconds=3600)).phase is Phase.FAILED


def test_a_training_that_finished_is_complete_though_its_deadline_is_over_and_it_is_suspended() -> None:
    old = replace(IN_TRAINING, start_time=LONG_AGO)
    wanted = job(status=old, activeDeadlineSeconds=60, suspend=True)
    assert assessed(complete(FINISHED), wanted).phase is Phase.COMPLETE


NEEDS_TWO = job(faultTolerance={"minAvailableClients": 2})


def broken(*clients: str, code: int = 2) -> Snapshot:
    """These clients of a job that needs two failed for good; the server runs."""
    pods = (ended(client_pod(each), code, words="/data is missing") for each in clients)
    jobs = {each: client_job(each) for each in CLIENTS}
    failed_jobs = {
        each: client_job(each, state=ChildJobState.FAILED, spec_digest=NEEDS_TWO.spec_digest)
        for each in clients
    }
    return sight(pods=(server_pod(), *pods), clients=jobs | failed_jobs, server_reply=None)


@pytest.mark.parametrize(
    ("seen", "fails"),
    [
        pytest.param(broken("edge-0-0", "edge-1-0"), True, id="quorum-out-of-reach"),
        pytest.param(broken("edge-1-0"), False, id="quorum-in-reach"),
        pytest.param(broken("edge-0-0", "edge-1-0", code=7), True, id="refused"),
    ],
)
def test_a_job_fails_at_once_when_it_cannot_have_a_quorum_any_more(seen: Snapshot, *, fails: bool) -> None:
    status = assessed(seen, NEEDS_TWO)
    assert status.finished is fails
    if fails:
        found = said(status, ConditionType.FAILED)
        assert found.reason == "BadInput"
        assert found.message.startswith(
            "2 of 3 clients failed for good, and spec.faultTolerance.minAvailableClients needs 2: client "
            "edge-0-0 on node edge-0: pod digits-client-edge-0-0-1"
        )
        assert found.message.endswith("/data is missing")


def test_a_server_that_found_the_fault_itself_has_the_first_word() -> None:
    clients = broken("edge-0-0", "edge-1-0", "edge-2-0", code=7)
    pods = (ended(server_pod(), 2, words="no such layer"), *clients.pods[1:])
    assert not assessed(replace(clients, pods=pods), NEEDS_TWO).finished


@pytest.mark.parametrize("kind", [ConditionType.COMPLETE, ConditionType.FAILED], ids=str)
def test_what_is_over_stays_as_it_ended(kind: ConditionType) -> None:
    end = complete(FINISHED) if kind is ConditionType.COMPLETE else failed(ended(server_pod(), 2))
    old = assessed(end, TRAINED)
    later = replace(job(status=old), generation=7)
    assert assessed(Snapshot(), later, NOW + timedelta(days=1)) == replace(old, observed_generation=7)


def test_a_lagging_pod_without_words_is_no_reason_to_fail() -> None:
    quiet = replace(server_pod(), phase=PodPhase.SUCCEEDED, termination_message=TerminationMessage(0, ""))
    found = said(assessed(complete(quiet), TRAINED), ConditionType.COMPLETE)
    assert found.message.startswith("the training is finished; the model is")
    assert found.status is ConditionStatus.TRUE


def beside_a_sidecar(code: int, words: str, **fields: Any) -> Snapshot:
    """The server ended half a minute ago, and its pod goes on."""
    at = NOW - timeouts.SIDECARS
    pod = ended(server_pod(), code, words=words, running_on=("istio-proxy",), finished=at, **fields)
    return with_server(pod)


STOPPED_WITH = (
    "container istio-proxy of pod digits-server-a still runs; make it a sidecar in "
    "spec.server.template.spec.initContainers with restartPolicy: Always"
)


def test_a_job_is_complete_when_its_server_is_although_a_sidecar_goes_on() -> None:
    seen = beside_a_sidecar(0, "trained 3 epochs, 100 steps", report=LAST)
    assert assessed(seen, TRAINED, NOW - timedelta(seconds=1)).phase is Phase.RUNNING
    status = assessed(seen, TRAINED)
    assert (status.phase, status.completion_time) == (Phase.COMPLETE, NOW - timeouts.SIDECARS)
    assert status.model == ModelPlace("digits-checkpoints", "digits/model.safetensors")
    assert said(status, ConditionType.COMPLETE).message == (
        "trained 3 epochs, 100 steps; the model is digits/model.safetensors in the volume claim "
        f"digits-checkpoints; {STOPPED_WITH}"
    )


def test_a_job_fails_with_its_server_although_a_sidecar_goes_on() -> None:
    status = assessed(beside_a_sidecar(3, "0 of at least 2 clients"), TRAINED)
    found = said(status, ConditionType.FAILED)
    assert (status.phase, found.reason) == (Phase.FAILED, "QuorumLost")
    assert found.message == f"0 of at least 2 clients; {STOPPED_WITH}"


@pytest.mark.parametrize("code", [1, 75], ids=["a-crash", "it-was-stopped"])
def test_a_server_that_a_sidecar_keeps_from_being_tried_again_is_trouble(code: int) -> None:
    status = assessed(beside_a_sidecar(code, "boom"), TRAINED)
    found = said(status, ConditionType.DEGRADED)
    assert (status.phase, found.reason) == (Phase.DEGRADED, "SidecarRunning")
    assert found.message == (
        f"pod digits-server-a on node gpu-0 failed with exit code {code}, but its Job does not notice: "
        f"{STOPPED_WITH}"
    )


@pytest.mark.parametrize("kind", [ConditionType.COMPLETE, ConditionType.FAILED], ids=str)
def test_a_pod_that_a_sidecar_keeps_is_deleted_after_the_end(kind: ConditionType) -> None:
    seen = beside_a_sidecar(0 if kind is ConditionType.COMPLETE else 3, "")
    status = assessed(seen, TRAINED)
    over, wanted = (status.completion_time or NOW) + LINGERING, job(status=status)
    actions = plan(PlanContext(wanted, status, seen, place_clients(wanted, seen), SETTINGS, over))
    assert "digits-server" in {each.name for each in actions if isinstance(each, Delete)}
    assert min(time for time in times(seen, NOW) if time >= NOW) == NOW


def test_a_pod_that_a_sidecar_keeps_still_holds_its_node() -> None:
    seen = beside_a_sidecar(75, "")
    assert not assessed(seen, job(status=IN_TRAINING, suspend=True)).holds(ConditionType.SUSPENDED)


def test_an_unknown_job_is_not_over() -> None:
    assert not JobStatus().finished
