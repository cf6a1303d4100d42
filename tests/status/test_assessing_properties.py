"""What holds of every status, whatever is seen."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from calls import calls_of
from hypothesis_profiles import scaled
from manifests.jobs import EDGE, NOW
from pslgs_operator.assessment.transitions import transitions
from pslgs_operator.names import client_name
from pslgs_operator.snapshot import (
    ChildJob,
    ChildJobState,
    ChildPod,
    Node,
    PodPhase,
    Problem,
    Rejection,
    ServerReply,
    ServerReport,
    Snapshot,
    TerminationMessage,
)
from pslgs_operator.status.types import ConditionStatus, ConditionType, JobStatus, Phase
from status.sights import CLIENTS, EDGES, assessed, child, job, report, server_job, server_pod

REASON = r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
"""The API's pattern."""

WORDS = st.text(max_size=8) | st.text(min_size=1, max_size=3).map(lambda text: 400 * text)
MOMENTS = st.integers(-4000, 0).map(lambda seconds: NOW + timedelta(seconds=seconds, microseconds=7))
COUNTS = st.integers(0, 2**63 - 1)
FIGURES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.lists(st.sampled_from((*CLIENTS, "edge-9-0")), unique=True).map(tuple)
TROUBLES = st.none() | st.builds(Problem, st.text(max_size=30), WORDS)

REPORTS = st.builds(
    ServerReport,
    phase=st.sampled_from(
        ["Starting", "Waiting", "Training", "Evaluating", "Finished", "Interrupted", "Failed", "New"]
    ),
    **dict.fromkeys(("epoch", "epochs", "step", "steps"), COUNTS),
    progress=st.floats(0, 1),
    **dict.fromkeys(
        ("eta_seconds", "loss", "accuracy", "deviation", "samples_per_second", "checkpoint_time"), FIGURES
    ),
    live=NAMES,
    lost=NAMES,
    live_count=st.none() | st.integers(0, 5),
    lost_count=st.none() | st.integers(0, 5),
    checkpoint_step=st.none() | COUNTS,
    message=WORDS,
    notice=WORDS,
)


def pods(job_name: str, client: str | None) -> st.SearchStrategy[ChildPod]:
    return st.builds(
        ChildPod,
        name=st.sampled_from([f"{job_name}-{letter}" for letter in "abc"]),
        job=st.just(job_name),
        client=st.just(client),
        created=MOMENTS,
        phase=st.sampled_from(PodPhase),
        node=st.none() | st.sampled_from((*EDGES, "gpu-0", "gone-0")),
        started=st.none() | MOMENTS,
        waiting=TROUBLES,
        unscheduled=TROUBLES,
        exit_code=st.none() | st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 75, 137]),
        end_reason=st.sampled_from(["", "Error", "OOMKilled", "Evicted", "OutOfnvidia.com/gpu"]),
        termination_message=st.none() | st.builds(TerminationMessage, st.none(), WORDS, st.none() | REPORTS),
        disruption=st.sampled_from(["", "EvictionByEvictionAPI"]),
        deleting=st.booleans(),
    )


def jobs(name: str, client: str | None) -> st.SearchStrategy[ChildJob]:
    made = child(name, client, client and client.removesuffix("-0"))
    return st.builds(
        lambda **fields: replace(made, **fields),
        state=st.sampled_from(ChildJobState),
        created=MOMENTS,
        spec_digest=st.sampled_from([made.spec_digest, "another"]),
        failures=st.integers(0, 9),
        reason=st.sampled_from(["", "PodFailurePolicy", "BackoffLimitExceeded", "some/thing odd"]),
        message=WORDS,
        deleting=st.booleans(),
        ended=st.none() | MOMENTS,
    )


@st.composite
def sights(draw: st.DrawFn) -> Snapshot:
    chosen = draw(st.lists(st.sampled_from(CLIENTS), unique=True))
    names = {client: client_name("digits", client) for client in chosen}
    client_pods = [
        pod for client, name in names.items() for pod in draw(st.lists(pods(name, client), max_size=2))
    ]
    server_pods = draw(st.lists(pods("digits-server", None), max_size=3))
    return Snapshot(
        nodes=tuple(Node(name, EDGE, draw(st.booleans())) for name in draw(st.sets(st.sampled_from(EDGES)))),
        server=draw(st.none() | jobs("digits-server", None)),
        clients={client: draw(jobs(name, client)) for client, name in names.items()},
        pods=(*server_pods, *client_pods),
        server_reply=draw(st.none() | st.builds(ServerReply, REPORTS, MOMENTS)),
        rejections=tuple(draw(st.lists(st.builds(Rejection, WORDS, WORDS, WORDS), max_size=2))),
    )


SPECS = st.fixed_dictionaries(
    {"suspend": st.booleans(), "faultTolerance": st.just({"minAvailableClients": 2})},
    optional={"activeDeadlineSeconds": st.integers(1, 3000)},
)
LATER = st.integers(0, 3000).map(lambda seconds: NOW + timedelta(seconds=seconds))


def look(seen: Snapshot, spec: dict[str, Any], old: JobStatus, now: datetime = NOW) -> JobStatus:
    return assessed(seen, job(status=old, **spec), now)


@settings(max_examples=scaled(40))
@given(sights(), sights(), SPECS, LATER)
def test_a_second_look_at_the_same_world_says_the_same_and_tells_nothing(
    before: Snapshot, seen: Snapshot, spec: dict[str, Any], now: datetime
) -> None:
    old = look(before, spec, JobStatus())
    status = look(seen, spec, old, now)
    assert look(seen, spec, status, now) == status
    assert transitions(status, status, "digits") == ()


@settings(max_examples=scaled(40))
@given(sights(), SPECS)
def test_a_status_is_read_as_it_was_written(seen: Snapshot, spec: dict[str, Any]) -> None:
    status = look(seen, spec, JobStatus())
    assert JobStatus.parse(status.to_json()) == status


@settings(max_examples=scaled(40))
@given(sights(), sights(), SPECS, LATER)
def test_transition_times_move_with_the_status_and_only_then(
    before: Snapshot, seen: Snapshot, spec: dict[str, Any], now: datetime
) -> None:
    old = look(before, spec, JobStatus())
    new = look(seen, spec, old, now)
    for kind, condition in new.conditions.items():
        moved = condition.status is not old.conditions[kind].status
        assert condition.last_transition_time == (now if moved else old.conditions[kind].last_transition_time)


@settings(max_examples=scaled(40))
@given(sights(), SPECS)
def test_conditions_are_complete_well_formed_and_exclude_each_other(
    seen: Snapshot, spec: dict[str, Any]
) -> None:
    status = look(seen, spec, JobStatus())
    held = {kind for kind in ConditionType if status.holds(kind)}
    assert set(status.conditions) == set(ConditionType)
    assert not {ConditionType.COMPLETE, ConditionType.FAILED} <= held
    going_on = {ConditionType.DEGRADED, ConditionType.SUSPENDED, ConditionType.RECONCILING}
    assert not (status.finished and held & going_on)
    assert not {ConditionType.READY, ConditionType.SUSPENDED} <= held
    assert not {ConditionType.READY, ConditionType.STALLED} <= held
    assert (ConditionType.STALLED in held) is (ConditionType.FAILED in held)
    assert (ConditionType.RECONCILING in held) is not (status.finished or spec["suspend"])
    for condition in status.conditions.values():
        assert re.fullmatch(REASON, condition.reason)
        assert len(condition.message.encode()) <= 4000
        assert condition.status is not ConditionStatus.UNKNOWN


@settings(max_examples=scaled(40))
@given(sights(), sights(), SPECS, LATER)
def test_what_is_over_never_changes(
    before: Snapshot, seen: Snapshot, spec: dict[str, Any], now: datetime
) -> None:
    ended = look(replace(before, server=server_job(state=ChildJobState.COMPLETE), pods=()), spec, JobStatus())
    assert ended.phase is Phase.COMPLETE
    assert look(seen, spec, ended, now) == ended


@settings(max_examples=scaled(40))
@given(sights(), sights(), SPECS)
def test_what_is_told_names_a_reason_once_and_fits_an_event(
    before: Snapshot, seen: Snapshot, spec: dict[str, Any]
) -> None:
    old = look(before, spec, JobStatus())
    told = transitions(old, look(seen, spec, old), "digits")
    assert len({each.reason for each in told}) == len(told)
    assert all(re.fullmatch(REASON, each.reason) and len(each.message.encode()) <= 1000 for each in told)


def test_the_work_of_a_status_grows_with_the_clients_and_no_faster() -> None:
    few, many = _half_lost(500), _half_lost(1000)
    status = assessed(many)
    assert (status.clients.expected, status.clients.live, status.clients.lost_count) == (1000, 500, 500)
    assert calls_of(lambda: assessed(many)) < 2.2 * calls_of(lambda: assessed(few))


def _half_lost(count: int) -> Snapshot:
    edges = [f"edge-{number:04}" for number in range(count)]
    clients = {f"{edge}-0": edge for edge in edges}
    names = {client: client_name("digits", client) for client in clients}
    live = tuple(clients)[::2]
    return Snapshot(
        nodes=tuple(Node(edge, EDGE, int(edge[-2:]) > 5) for edge in edges),
        server=server_job(),
        clients={client: child(names[client], client, edge) for client, edge in clients.items()},
        pods=(server_pod(), *(_pod(names[client], client, edge) for client, edge in clients.items())),
        server_reply=ServerReply(report(live=live, lost=tuple(clients)[1::2]), NOW),
    )


def _pod(job_name: str, client: str, node: str) -> ChildPod:
    return ChildPod(f"{job_name}-x", job_name, client, NOW, PodPhase.RUNNING, node)
