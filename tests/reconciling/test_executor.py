import asyncio
from datetime import timedelta

import pytest

from pslgs.spec.errors import InputError
from pslgs_operator import names
from pslgs_operator.actions import Apply, Delete, DeleteTrainingJob, IssueClient, IssueServer
from pslgs_operator.executor import execute
from pslgs_operator.kube_client import NamespaceTerminatingError, RejectedError, RetryableError
from pslgs_operator.snapshot import Rejection

JOB = "cifar"
SERVER = names.server_name(JOB)


def apply(kind, name):
    return Apply({"kind": kind, "metadata": {"name": name}})


def client_job(number):
    return apply("Job", names.client_name(JOB, f"edge-{number}"))


CONFIG, CLAIM, MONITOR = (
    apply("ConfigMap", "c"),
    apply("PersistentVolumeClaim", "p"),
    apply("PodMonitor", "m"),
)
ISSUE, SERVER_JOB = IssueServer(("host",)), apply("Job", SERVER)
CERTIFICATES = [IssueClient(f"edge-{n}") for n in range(3)]
CLIENTS = [client_job(n) for n in range(3)]
PLAN = [
    CONFIG,
    CLAIM,
    MONITOR,
    ISSUE,
    SERVER_JOB,
    *(a for pair in zip(CERTIFICATES, CLIENTS, strict=True) for a in pair),
]


SECOND_CLIENT = {str(CERTIFICATES[1]), str(CLIENTS[1])}


class Cluster:
    """Does everything but what it was told to refuse."""

    def __init__(self, **rejections):
        self.rejections = rejections
        self.done = []

    async def carry_out(self, action):
        for refused, error in self.rejections.items():
            if refused in str(action):
                raise error
        self.done.append(action)


REFUSED = RejectedError("Forbidden", "exceeded quota")


async def test_a_plan_is_carried_out_in_order():
    cluster = Cluster()
    assert (await execute(JOB, PLAN, cluster.carry_out, {})).failures == {}
    assert cluster.done[:5] == PLAN[:5]
    assert set(map(str, cluster.done)) == set(map(str, PLAN))
    for certificate, job in zip(CERTIFICATES, CLIENTS, strict=True):
        assert cluster.done.index(certificate) < cluster.done.index(job)


async def test_clients_are_made_beside_each_other_but_not_all_at_once():
    under_way, most = 0, 0

    async def carry_out(_):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(3):
            await asyncio.sleep(0)
        under_way -= 1

    await execute(JOB, [client_job(n) for n in range(100)], carry_out, {})
    assert most == 16


@pytest.mark.parametrize(
    ("refused", "left_undone"),
    [
        pytest.param("PersistentVolumeClaim", {*map(str, [CLAIM, *PLAN[3:]])}, id="fixture stops pods"),
        pytest.param("PodMonitor", {str(MONITOR)}, id="monitor stops nothing"),
        pytest.param("IssueServer", {*map(str, PLAN[3:])}, id="certificate stops server and clients"),
        pytest.param(SERVER, {*map(str, PLAN[4:])}, id="server stops clients"),
        pytest.param("IssueClient(client='edge-1'", SECOND_CLIENT, id="certificate stops client"),
        pytest.param(names.client_name(JOB, "edge-1"), {str(CLIENTS[1])}, id="client stops nothing"),
    ],
)  # fmt: skip
async def test_a_refusal_stops_what_depends_on_it_and_nothing_else(refused, left_undone):
    cluster = Cluster(**{refused: REFUSED})
    (refusal,) = (await execute(JOB, PLAN, cluster.carry_out, {})).failures.values()
    assert (refusal.reason, refusal.message) == ("Forbidden", "exceeded quota")
    assert {*map(str, PLAN)} - {*map(str, cluster.done)} == left_undone


async def test_deleting_goes_on_after_a_refusal():
    delete = Delete("Job", names.client_name(JOB, "gone"))
    cluster = Cluster(ConfigMap=REFUSED)
    await execute(JOB, [CONFIG, SERVER_JOB, delete, client_job(1)], cluster.carry_out, {})
    assert cluster.done == [delete]


async def test_what_is_held_is_not_tried_nor_what_leads_to_it():
    held = {names.client_name(JOB, "edge-1"): Rejection("Job x", "Forbidden", "lately")}
    cluster = Cluster()
    assert (await execute(JOB, PLAN, cluster.carry_out, held)).failures == held
    assert CERTIFICATES[1] not in cluster.done
    assert CLIENTS[2] in cluster.done


async def test_what_is_held_stops_what_depends_on_it():
    held = {SERVER: Rejection("Job x", "Forbidden", "lately")}
    cluster = Cluster()
    assert (await execute(JOB, PLAN, cluster.carry_out, held)).failures == held
    assert cluster.done == PLAN[:3]


async def test_what_was_held_and_is_not_planned_any_more_is_no_refusal():
    held = {SERVER: Rejection("Job x", "Forbidden", "lately")}
    outcome = await execute(JOB, CLIENTS, Cluster().carry_out, held)
    assert outcome.failures == {}
    assert len(outcome.done) == 3


async def test_a_certificate_that_cannot_be_issued_is_a_refusal():
    cluster = Cluster(IssueServer=InputError.at("", "the host is none"))
    outcome = await execute(JOB, PLAN, cluster.carry_out, {})
    assert [refusal.message for refusal in outcome.failures.values()] == ["the host is none"]


async def test_a_namespace_that_is_going_ends_the_performance():
    cluster = Cluster(**{names.client_name(JOB, "edge-0"): NamespaceTerminatingError("going")})
    with pytest.raises(NamespaceTerminatingError):
        await execute(JOB, [*PLAN, DeleteTrainingJob()], cluster.carry_out, {})
    assert DeleteTrainingJob() not in cluster.done


@pytest.mark.parametrize(
    "trouble",
    [RetryableError("500"), REFUSED, RuntimeError("a mistake"), NamespaceTerminatingError("going")],
    ids=["retryable", "refused", "mistake", "namespace going"],
)
async def test_a_write_that_fails_ends_no_other_that_is_under_way(trouble):
    others_begun, ended = asyncio.Event(), []

    async def carry_out(action):
        if action == CLIENTS[0]:
            await others_begun.wait()
            raise trouble
        others_begun.set()
        for _ in range(10):
            await asyncio.sleep(0)
        ended.append(action)

    if isinstance(trouble, RetryableError | RejectedError):
        outcome = await execute(JOB, CLIENTS, carry_out, {})
        assert len(outcome.done) == 2
    else:
        with pytest.raises(type(trouble)):
            await execute(JOB, CLIENTS, carry_out, {})
    assert ended == CLIENTS[1:]


async def test_a_temporary_failure_is_returned_with_what_the_api_server_asks():
    error = RetryableError("500 InternalError: no", retry_after=timedelta(seconds=9))
    cluster = Cluster(**{names.client_name(JOB, "edge-1"): error})
    outcome = await execute(JOB, PLAN, cluster.carry_out, {})
    (failure,) = outcome.failures.values()
    assert (failure.temporary, failure.retry_after) == (True, timedelta(seconds=9))
    assert CLIENTS[2] in cluster.done
    assert not outcome.stopped


async def test_nothing_more_is_begun_once_the_api_server_fails_for_all():
    cluster = Cluster(ConfigMap=RetryableError("no answer", affects_all=True))
    outcome = await execute(JOB, PLAN, cluster.carry_out, {})
    assert outcome.stopped
    assert not cluster.done


async def test_what_does_not_fit_into_the_time_of_a_reconcile_is_left_to_the_next():
    cluster, actions = Cluster(), [client_job(n) for n in range(40)]
    outcome = await execute(JOB, actions, cluster.carry_out, {}, lambda: len(cluster.done) >= 20)
    assert outcome.stopped
    assert len(outcome.done) == len(cluster.done) == 20

    assert not (await execute(JOB, actions, cluster.carry_out, {})).stopped
