"""From when on something that is missing is a problem."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from manifests.jobs import EDGE, NOW
from pslgs_operator.assessment.timeouts import (
    BACKLOG,
    HANGING,
    NEXT_POD,
    hanging,
    times,
    without_pod_since,
)
from pslgs_operator.snapshot import ChildJob, ChildJobState, ChildPod, Node, Snapshot
from pslgs_operator.status.types import ConditionStatus, ConditionType, JobStatus, Phase
from status.sights import (
    CLIENTS,
    LONG_AGO,
    assessed,
    client_job,
    client_pod,
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

SERVER = server_job(created=NOW)
POD = pending(server_pod(created=NOW))
OLD_SERVER = server_job(created=LONG_AGO)
SECOND = timedelta(seconds=1)


def seen_for(seen: Snapshot, since: datetime) -> Snapshot:
    """The operator has seen the Jobs without pods since then."""
    return replace(seen, without_pod_since=without_pod_since(seen, {}, since))


def problem(status: JobStatus) -> str:
    found = said(status, ConditionType.DEGRADED)
    return found.reason if found.status is ConditionStatus.TRUE else ""


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(Snapshot(), None, id="nothing"),
        pytest.param(Snapshot(server=SERVER), 110, id="a-job-without-pods"),
        pytest.param(
            Snapshot(clients={"edge-0-0": client_job("edge-0-0", created=NOW)}), 110, id="a-client's"
        ),
        pytest.param(Snapshot(server=replace(SERVER, suspended=True)), None, id="a-job-that-is-queued"),
        pytest.param(
            Snapshot(server=replace(SERVER, state=ChildJobState.FAILED)), None, id="a-job-that-is-over"
        ),
        pytest.param(Snapshot(server=SERVER, pods=(POD,)), 590, id="containers"),
        pytest.param(Snapshot(server=SERVER, pods=(unscheduled(POD, "volumes"),)), 20, id="volumes"),
        pytest.param(Snapshot(server=SERVER, pods=(server_pod(),)), None, id="a-pod-that-runs"),
        pytest.param(
            Snapshot(server=SERVER, pods=(POD, pending(client_pod("edge-0-0")))),
            291,
            id="the-first-of-several",
        ),
    ],
)
def test_the_next_moment_at_which_silence_is_trouble(seen: Snapshot, expected: float | None) -> None:
    later = NOW + 10 * SECOND
    left = [time - later for time in times(seen_for(seen, NOW), later) if time > later]
    assert min(left, default=None) == (expected and timedelta(seconds=expected))


@pytest.mark.parametrize("pods", [pytest.param((), id="no-pod"), pytest.param((POD,), id="a-pod-that-hangs")])
def test_what_does_not_start_at_once_is_asked_about_soon(pods: tuple[ChildPod, ...]) -> None:
    seen = seen_for(Snapshot(server=SERVER, pods=pods), NOW)
    assert min(times(seen, NOW)) == NOW + HANGING
    assert hanging(seen, NOW + HANGING / 2) is None
    assert hanging(seen, NOW + HANGING) == HANGING


def test_a_pod_that_no_event_explains_is_missed_after_two_minutes_without_any_creation() -> None:
    seen = seen_for(with_server(server=OLD_SERVER), NOW)
    assert problem(assessed(seen, now=NOW + NEXT_POD - SECOND)) == ""
    status = assessed(seen, now=NOW + NEXT_POD)
    assert problem(status) == "PodsNotCreated"
    assert said(status, ConditionType.DEGRADED).message == (
        "Kubernetes has created no pod for Job digits-server for 2 minutes, and no Event says why; see "
        "kubectl describe job digits-server, and check that kube-controller-manager runs"
    )


def test_while_pods_of_other_jobs_are_created_a_missing_one_is_awaited_longer() -> None:
    seen = seen_for(with_server(server=OLD_SERVER), NOW)
    now = NOW + NEXT_POD
    busy = replace(seen, last_pod_creation=now - SECOND)
    assert problem(assessed(busy, now=now)) == ""
    assert now - SECOND + NEXT_POD in times(busy, now)
    assert problem(assessed(busy, now=now - SECOND + NEXT_POD)) == "PodsNotCreated"


def test_a_pod_is_missed_after_ten_minutes_whatever_is_created_for_other_jobs() -> None:
    seen = seen_for(with_server(server=OLD_SERVER), NOW)
    for_others = replace(seen, last_pod_creation=NOW + BACKLOG)
    assert problem(assessed(for_others, now=NOW + BACKLOG - SECOND)) == ""
    assert problem(assessed(for_others, now=NOW + BACKLOG)) == "PodsNotCreated"


@pytest.mark.parametrize(
    ("seen", "then"),
    [
        pytest.param(with_server(server=OLD_SERVER), sight(server=OLD_SERVER), id="the-pod-came"),
        pytest.param(
            with_server(server=OLD_SERVER),
            with_server(server=replace(OLD_SERVER, suspended=True)),
            id="it-was-queued",
        ),
        pytest.param(
            with_server(server=OLD_SERVER),
            with_server(server=replace(OLD_SERVER, deleting=True)),
            id="it-is-being-deleted",
        ),
    ],
)
def test_the_clock_of_a_missing_pod_stops_when_the_job_needs_none(seen: Snapshot, then: Snapshot) -> None:
    first = without_pod_since(seen, {}, NOW)
    assert first == {"digits-server": NOW}
    between = without_pod_since(then, first, NOW + SECOND)
    assert between == {}
    assert without_pod_since(seen, between, NOW + 2 * SECOND) == {"digits-server": NOW + 2 * SECOND}


def test_a_job_that_lost_its_pod_to_a_drain_is_no_trouble_however_old_it_is() -> None:
    seen = with_client("edge-1-0", clients={each: client_job(each, created=LONG_AGO) for each in CLIENTS})
    assert problem(assessed(seen_for(seen, NOW - SECOND))) == ""


@pytest.mark.parametrize("failures", [0, 3], ids=["never-failed", "after-failures"])
def test_a_job_that_waits_after_a_failure_is_no_trouble(failures: int) -> None:
    seen = seen_for(with_server(server=server_job(failures=failures)), LONG_AGO)
    assert problem(assessed(seen)) == ("" if failures else "PodsNotCreated")


SCHEDULED = pending(server_pod(created=LONG_AGO))


@pytest.mark.parametrize(
    ("pod", "ready_since", "expected"),
    [
        pytest.param(SCHEDULED, LONG_AGO, "ContainersNotStarted", id="it-hangs"),
        pytest.param(replace(SCHEDULED, scheduled=NOW), LONG_AGO, "", id="it-was-just-scheduled"),
        pytest.param(SCHEDULED, NOW, "", id="its-node-has-just-returned"),
    ],
)
def test_containers_are_missed_ten_minutes_after_their_pod_could_begin(
    pod: ChildPod, ready_since: datetime, expected: str
) -> None:
    here = (*nodes()[:-1], Node("gpu-0", {}, ready=True, ready_since=ready_since))
    assert problem(assessed(with_server(pod, server=OLD_SERVER, nodes=here))) == expected


def test_a_job_whose_server_is_suspended_is_queued() -> None:
    status = assessed(seen_for(with_server(server=replace(OLD_SERVER, suspended=True)), LONG_AGO))
    ready = said(status, ConditionType.READY)
    assert (status.phase, ready.reason, problem(status)) == (Phase.PENDING, "Queued", "")
    assert ready.message == ("Job digits-server is suspended until a queue admits it, or somebody resumes it")


@pytest.mark.parametrize(
    ("clients", "words"),
    [
        pytest.param({"edge-0-0": client_job("edge-0-0")}, "; 1 of 3 client Jobs are created", id="jobs"),
        pytest.param(
            {each: client_job(each) for each in CLIENTS}, "; 0 of 3 client pods are created", id="pods"
        ),
        pytest.param(
            {each: client_job(each, suspended=each == "edge-1-0") for each in CLIENTS},
            "; 1 of 3 client Jobs are suspended",
            id="queued",
        ),
    ],
)
def test_a_start_says_how_far_it_is(clients: dict[str, ChildJob], words: str) -> None:
    waiting = server_reply(phase="Waiting", live=(), message="for the expected clients")
    seen = sight(clients=clients, pods=(server_pod(),), server_reply=waiting)
    ready = said(assessed(seen), ConditionType.READY)
    assert ready.message == f"the server waits for the expected clients{words}"


MANY = tuple(f"edge-{number}" for number in range(5000))
JOBS_A_SECOND, PODS_A_SECOND, POD_LAG = 25, 15, 5


def slowly(second: int) -> Snapshot:
    """Five thousand clients, so many seconds after they were applied; the last pod needs five minutes."""
    jobs = [
        client_job(f"{edge}-0", created=NOW + timedelta(seconds=number // JOBS_A_SECOND))
        for number, edge in enumerate(MANY[: second * JOBS_A_SECOND])
    ]
    pods = [
        pending(
            client_pod(each.client or "", created=NOW + timedelta(seconds=POD_LAG + number // PODS_A_SECOND))
        )
        for number, each in enumerate(jobs[: max(0, second - POD_LAG) * PODS_A_SECOND])
    ]
    edges = tuple(Node(name, EDGE, ready=True, ready_since=LONG_AGO) for name in MANY)
    return Snapshot(
        nodes=(*edges, *nodes(edges=())),
        server=SERVER,
        clients={each.client: each for each in jobs if each.client},
        pods=(server_pod(created=NOW, started=NOW), *pods),
        server_reply=server_reply(-second, "Waiting", live=(), message="for the expected clients"),
    )


@pytest.mark.slow
def test_five_thousand_clients_that_are_created_slowly_are_no_trouble() -> None:
    since: dict[str, datetime] = {}
    counts = []
    for second in range(0, 480, 40):
        seen, now = slowly(second), NOW + timedelta(seconds=second)
        since = dict(without_pod_since(seen, since, now))
        status = assessed(replace(seen, without_pod_since=since), job(), now)
        assert problem(status) == ""
        counts.append(said(status, ConditionType.READY).message.partition("; ")[2])
    assert counts[1] == "1,000 of 5,000 client Jobs are created"
    assert counts[5] == "2,925 of 5,000 client pods are created"
    assert counts[-1] == ""
