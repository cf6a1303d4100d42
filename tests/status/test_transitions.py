"""What is told when a status changes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from manifests.jobs import NOW
from pslgs.spec.errors import Violation
from pslgs_operator.assessment.compute import invalid_status
from pslgs_operator.assessment.transitions import EventSpec, transitions
from pslgs_operator.snapshot import ChildJobState, Rejection, Snapshot
from pslgs_operator.status.types import Clients, JobStatus
from status.sights import (
    CLIENTS,
    IN_TRAINING,
    assessed,
    client_pod,
    ended,
    job,
    nodes,
    pending,
    report,
    server_job,
    server_pod,
    server_reply,
    sight,
    waiting,
    with_server,
)

NOTHING = Snapshot(nodes=nodes())
LAST = report("Finished", step=100, progress=1.0, live=(), live_count=3, lost_count=0)
COMPLETE = with_server(
    ended(server_pod(), 0, "Completed", "trained 3 epochs", report=LAST),
    server=server_job(state=ChildJobState.COMPLETE),
)
FAILED = with_server(
    ended(server_pod(), 3, words="no clients"),
    server=server_job(state=ChildJobState.FAILED, reason="PodFailurePolicy"),
)
TWO_LEFT = sight(
    server_reply=server_reply(live=("edge-0-0", "edge-2-0"), lost=("edge-1-0",)), nodes=nodes("edge-1")
)
RESTARTED = sight(pods=(ended(server_pod(), 1), server_pod("digits-server-b", 9), *map(client_pod, CLIENTS)))
BEGUN = ("Accepted", "Started", "TrainingStarted")
IMAGE = with_server(waiting(server_pod(), "ImagePullBackOff", "not found"))


def told(*looks: Snapshot, suspend: tuple[bool, ...] = ()) -> list[tuple[str, ...]]:
    """The reasons of what is told at each look at a job."""
    status, chapters = JobStatus(), []
    for number, seen in enumerate(looks):
        wanted = job(status=status, suspend=number < len(suspend) and suspend[number])
        new = assessed(seen, wanted, NOW + timedelta(seconds=number))
        chapters.append(tuple(each.reason for each in transitions(status, new, "digits")))
        assert (
            transitions(
                new, assessed(seen, replace(wanted, status=new), NOW + timedelta(seconds=number)), "digits"
            )
            == ()
        )
        status = new
    return chapters


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param(
            [NOTHING, with_server(pending(server_pod())), sight(), sight(), COMPLETE, Snapshot()],
            [("Accepted",), ("Started",), ("TrainingStarted",), (), ("Complete",), ()],
            id="a-training",
        ),
        pytest.param(
            [sight(), TWO_LEFT, TWO_LEFT, sight()],
            [BEGUN, ("ClientLost", "Degraded"), (), ("ClientReturned", "Recovered")],
            id="a-node-is-lost-and-returns",
        ),
        pytest.param([COMPLETE], [(*BEGUN, "Complete")], id="all-missed"),
        pytest.param([sight(), FAILED], [BEGUN, ("Failed",)], id="failed"),
        pytest.param(
            [TWO_LEFT, FAILED], [(*BEGUN, "ClientLost", "Degraded"), ("Failed",)], id="failed-while-degraded"
        ),
        pytest.param([sight(), RESTARTED], [BEGUN, ("ServerRestarted",)], id="restarted"),
        pytest.param(
            [IMAGE, replace(IMAGE, rejections=(Rejection("Job x", "Forbidden", "no"),)), sight()],
            [("Accepted", "Started", "Degraded"), ("Degraded",), ("TrainingStarted", "Recovered")],
            id="another-trouble",
        ),
    ],
)
def test_a_story_is_told_in_order_and_nothing_twice(
    looks: list[Snapshot], expected: list[tuple[str, ...]]
) -> None:
    assert told(*looks) == expected


def test_a_suspended_job_tells_when_it_stopped_and_when_it_goes_on() -> None:
    looks = (sight(), Snapshot(nodes=nodes(), pods=(server_pod(),)), NOTHING, NOTHING, sight())
    assert told(*looks, suspend=(False, True, True, False, False)) == [
        BEGUN,
        (),
        ("Suspended",),
        ("Resumed",),
        ("Started",),
    ]


def test_trouble_that_suspending_ends_is_not_called_recovered() -> None:
    assert told(TWO_LEFT, NOTHING, suspend=(False, True))[1] == ("Suspended",)


def test_who_is_lost_and_what_is_wrong_is_told_by_name() -> None:
    new = assessed(TWO_LEFT, job(status=IN_TRAINING))
    assert transitions(IN_TRAINING, new, "digits") == (
        EventSpec("Warning", "ClientLost", "lost edge-1-0; 2 of 3 clients are left"),
        EventSpec(
            "Warning",
            "Degraded",
            "ClientLost: node edge-1 is not ready; its client edge-1-0 is lost; the training goes on with "
            "2 of 3 clients",
        ),
    )
    assert transitions(new, IN_TRAINING, "digits")[0] == EventSpec(
        "Normal", "ClientReturned", "edge-1-0 returned"
    )


def test_of_very_many_lost_clients_only_changes_are_told() -> None:
    names = tuple(f"edge-{number}-0" for number in range(20))
    before = replace(IN_TRAINING, clients=Clients(40, 15, names, 25))
    fewer = replace(IN_TRAINING, clients=Clients(40, 16, (*names[1:], "edge-30-0"), 24))
    assert [each.reason for each in transitions(before, fewer, "digits")] == ["ClientReturned"]
    assert [each.reason for each in transitions(fewer, before, "digits")] == ["ClientLost"]


def test_a_server_that_begins_anew_while_nobody_knows_its_clients_lets_none_return() -> None:
    lost = assessed(TWO_LEFT, job(status=IN_TRAINING))
    silent = assessed(with_server(server_pod("digits-server-b", 9, started=NOW)), job(status=lost))
    assert "ClientReturned" not in [each.reason for each in transitions(lost, silent, "digits")]


def test_a_job_that_is_not_accepted_tells_why_and_later_that_it_is() -> None:
    bad = invalid_status(JobStatus(), 1, [Violation("spec.epochs", "is 0, must be at least 1")], NOW)
    assert transitions(JobStatus(), bad, "digits") == (
        EventSpec("Warning", "InvalidSpec", "spec.epochs: is 0, must be at least 1"),
    )
    good = assessed(NOTHING, job(status=bad))
    assert [each.reason for each in transitions(bad, good, "digits")] == ["Accepted"]


def test_messages_fit_an_event() -> None:
    problems = [Violation(f"spec.field{number}", "ä" * 100) for number in range(100)]
    bad = invalid_status(JobStatus(), 1, problems, NOW)
    assert all(len(each.message.encode()) <= 1000 for each in transitions(JobStatus(), bad, "digits"))
