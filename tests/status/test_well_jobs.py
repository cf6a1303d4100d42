"""What is said of a job that needs nothing but time."""

from dataclasses import replace

import pytest

from manifests.jobs import NOW
from pslgs_operator.snapshot import Snapshot
from pslgs_operator.status.types import ConditionStatus, ConditionType, Phase
from status.sights import (
    CLIENTS,
    IN_TRAINING,
    LONG_AGO,
    assessed,
    client_job,
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
    unscheduled,
    with_client,
    with_server,
)

NOTHING = Snapshot(nodes=nodes())
TRAINED = job(status=IN_TRAINING)
BALANCED = job(server={"service": {"type": "LoadBalancer"}})
EVICTED = ended(server_pod(), 137, disruption="EvictionByEvictionAPI")


def hears(phase: str, **fields: object) -> Snapshot:
    return sight(server_reply=server_reply(phase=phase, **fields))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        pytest.param(sight(), "training with 3 of 3 clients", id="training"),
        pytest.param(hears("Evaluating"), "training with 3 of 3 clients", id="evaluating"),
        pytest.param(hears("Training", notice="no CUDA"), "the server says: no CUDA", id="with-a-notice"),
        pytest.param(with_client("edge-1-0"), "2 of 3", id="a-client-is-to-come"),
        pytest.param(
            with_client("edge-1-0", pending(client_pod("edge-1-0"))), "2 of 3", id="a-client-starts"
        ),
        pytest.param(
            with_client("edge-1-0", ended(client_pod("edge-1-0"), 75)), "", id="a-client-was-stopped"
        ),
        pytest.param(
            with_client("edge-1-0", ended(client_pod("edge-1-0"), 255, "Unknown")), "", id="a-power-cut"
        ),
    ],
)
def test_a_job_runs_when_its_server_says_so(seen: Snapshot, words: str) -> None:
    status = assessed(seen)
    ready = said(status, ConditionType.READY)
    assert (status.phase, ready.status, ready.reason) == (Phase.RUNNING, ConditionStatus.TRUE, "Training")
    assert words in ready.message


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        pytest.param(NOTHING, "Starting", "Job is being created", id="just-applied"),
        pytest.param(
            replace(NOTHING, server=server_job(created=NOW)), "Starting", "pod is being made", id="no-pod-yet"
        ),
        pytest.param(
            with_server(pending(server_pod())), "Starting", "does not run yet", id="the-pod-is-pending"
        ),
        pytest.param(
            with_server(unscheduled(server_pod(), "gated", "SchedulingGated")),
            "Queued",
            "waits for its scheduling gates",
            id="a-queue-holds-the-pod",
        ),
        pytest.param(
            with_server(unscheduled(server_pod(created=NOW), "pod has unbound immediate volumes")),
            "Starting",
            "does not run yet",
            id="its-volume-is-being-made",
        ),
        pytest.param(
            with_server(server_pod(started=NOW)), "Starting", "has not answered yet", id="the-server-begins"
        ),
        pytest.param(hears("Starting", live=()), "Starting", "reads its model", id="the-server-loads"),
        pytest.param(
            hears("Waiting", live=(), message="for the expected clients"),
            "WaitingForClients",
            "the server waits for the expected clients",
            id="clients-are-to-come",
        ),
        pytest.param(
            hears("Waiting", live=(), message="0 of 4 expected clients connected, 1 needed"),
            "WaitingForClients",
            "0 of 4 expected clients connected, 1 needed",
            id="a-quorum-is-to-come",
        ),
        pytest.param(hears("Interrupted"), "ServerRestarting", "the server ends", id="about-to-stop"),
    ],
)
def test_a_job_that_does_not_run_yet_says_what_it_waits_for(seen: Snapshot, reason: str, words: str) -> None:
    status = assessed(seen)
    ready = said(status, ConditionType.READY)
    assert (status.phase, ready.reason) == (Phase.PENDING, reason)
    assert words in ready.message


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(hears("Finished"), id="the-server-says-so"),
        pytest.param(with_server(ended(server_pod(), 0)), id="its-pod-has-ended"),
    ],
)
def test_a_job_that_is_about_to_end_looks_as_it_did(seen: Snapshot) -> None:
    status = assessed(seen, TRAINED)
    assert (status.phase, status.clients) == (Phase.RUNNING, IN_TRAINING.clients)
    assert said(status, ConditionType.READY).reason == "Finishing"


def test_a_job_waits_for_the_address_that_clients_dial() -> None:
    ready = said(assessed(NOTHING, BALANCED), ConditionType.READY)
    assert ready.reason == "WaitingForAddress"
    assert (
        assessed(replace(NOTHING, service_address="192.0.2.7"), BALANCED).server.address == "192.0.2.7:7443"
    )


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        pytest.param(
            with_server(ended(server_pod(), 75, words="stopped by SIGTERM")), "SIGTERM", id="it-was-stopped"
        ),
        pytest.param(
            with_server(EVICTED, pending(server_pod("b", 9))), "pod b does not run yet", id="it-was-evicted"
        ),
        pytest.param(with_server(server_pod(deleting=True)), "is being deleted", id="it-is-being-deleted"),
    ],
)
def test_a_server_that_is_moved_is_no_trouble(seen: Snapshot, words: str) -> None:
    status = assessed(seen, TRAINED)
    ready = said(status, ConditionType.READY)
    assert (status.phase, ready.reason) == (Phase.PENDING, "ServerRestarting")
    assert words in ready.message


def test_a_server_that_answers_has_overcome_its_crash() -> None:
    pods = (ended(server_pod(), 1), server_pod("digits-server-b", 9), *map(client_pod, CLIENTS))
    status = assessed(sight(pods=pods), TRAINED)
    assert status.phase is Phase.RUNNING
    assert (status.server.pod, status.server.restarts) == ("digits-server-b", 1)


def test_a_failed_pod_that_is_left_when_a_later_one_is_deleted_is_no_restart() -> None:
    crashed, later = ended(server_pod("digits-server-a"), 1), server_pod("digits-server-b", 9)
    two = assessed(sight(pods=(crashed, later, *map(client_pod, CLIENTS))), TRAINED)
    without_it = sight(pods=(crashed, *map(client_pod, CLIENTS)), server_reply=None)
    left = assessed(without_it, replace(TRAINED, status=two))
    assert left.server == two.server
    newest = server_pod("digits-server-c", 19)
    again = assessed(sight(pods=(crashed, newest, *map(client_pod, CLIENTS))), replace(TRAINED, status=left))
    assert (again.server.pod, again.server.restarts) == ("digits-server-c", two.server.restarts + 1)


def test_a_pod_of_a_deleted_job_of_the_same_name_says_nothing() -> None:
    old = ended(server_pod(created=LONG_AGO), 1, words="long ago")
    status = assessed(with_server(old, server_pod(started=NOW)))
    assert said(status, ConditionType.DEGRADED).status is ConditionStatus.FALSE
    assert status.server.restarts == 0


def test_a_server_job_that_goes_is_as_good_as_gone() -> None:
    going = sight(server=server_job(deleting=True, state="Failed"), pods=(), server_reply=None)
    assert said(assessed(going), ConditionType.READY).message == "the server's Job is being created"


def test_all_conditions_are_there_at_the_first_visit() -> None:
    assert set(assessed(NOTHING).conditions) == set(ConditionType)


def test_a_job_starts_when_its_server_is_asked_for_and_trains_from_its_first_step_on() -> None:
    started = assessed(with_server(pending(server_pod())))
    assert (started.start_time, started.training_start_time) == (server_job().created, None)
    assert IN_TRAINING.training_start_time == NOW


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [
        pytest.param({"storage": {"size": "1Gi"}}, "volume claim digits-checkpoints", id="a-new-claim"),
        pytest.param({"storage": {"claimName": "models"}}, "volume claim models", id="a-claim-that-exists"),
        pytest.param({}, "no spec.checkpoint.storage", id="no-claim"),
    ],
)
def test_an_accepted_job_says_where_its_model_will_lie(checkpoint: dict[str, object], words: str) -> None:
    accepted = said(assessed(NOTHING, job(checkpoint=checkpoint)), ConditionType.ACCEPTED)
    assert (accepted.status, accepted.reason) == (ConditionStatus.TRUE, "Accepted")
    assert words in accepted.message


def test_jobs_whose_pods_are_just_being_made_are_no_trouble() -> None:
    seen = with_client("edge-1-0", clients={each: client_job(each, created=NOW) for each in CLIENTS})
    assert assessed(seen).phase is Phase.RUNNING
