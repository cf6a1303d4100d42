"""Jobs with thousands of clients: reconciles neither take quadratic time nor block the event loop."""

from datetime import UTC, datetime

import pytest

from pslgs_operator import names
from pslgs_operator.actions import IssueClient
from pslgs_operator.executor import execute
from pslgs_operator.gvk import BY_KIND
from pslgs_operator.kube_client import NotLeadingError, RejectedError
from pslgs_operator.observe import observe, server_address
from pslgs_operator.reconciler import Reconciler
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ChildPod
from pslgs_operator.store import Stores
from pslgs_operator.training_job import TrainingJob
from reconciling.fake_cluster import FakeCluster
from reconciling.life import EDGE, KEY, manifest
from reconciling.objects import a_node, an_object


def a_job():
    body = manifest()
    body["metadata"] |= {"uid": "job-uid", "generation": 1}
    return TrainingJob.parse(body)


def with_pods(number):
    """Return stores with pods of the job and as many of an earlier job of its name."""
    stores = Stores()
    for index in range(number):
        for uid in ("job-uid", "earlier"):
            pod = an_object("Pod", f"{uid}-{index}", job=KEY.name, uid=f"{uid}-{index}", owner=None)
            pod["metadata"]["labels"][names.JOB_UID_LABEL] = uid
            stores.upsert(BY_KIND["Pod"], pod)
    return stores


def test_pods_of_a_job_are_told_from_others_without_comparing_each_with_each(monkeypatch):
    stores = with_pods(20)

    def refuse(*_):
        raise AssertionError("pods are compared with each other")

    monkeypatch.setattr(ChildPod, "__eq__", refuse)
    snapshot = observe(stores, a_job(), None, ())
    server_address(stores, KEY, "job-uid")
    assert {each.name for each in snapshot.pods} == {f"job-uid-{index}" for index in range(20)}
    assert {each.name for each in snapshot.earlier_pods} == {f"earlier-{index}" for index in range(20)}


async def test_actions_are_rendered_while_others_are_carried_out():
    rendered, ahead = 0, []

    def planned():
        nonlocal rendered
        for index in range(1000):
            rendered += 1
            yield IssueClient(f"edge-{index}")

    async def carry_out(_):
        ahead.append(rendered - len(ahead))

    outcome = await execute(KEY.name, planned(), carry_out, {})
    assert len(outcome.done) == len(ahead) == 1000
    assert max(ahead) < 200


async def test_a_client_whose_actions_are_rendered_in_two_parts_fails_as_a_whole():
    actions = [IssueClient(f"edge-{index}") for index in range(300)] + [IssueClient("edge-0")]
    tried = []

    async def carry_out(action):
        tried.append(action.client)
        if action.client == "edge-0":
            raise RejectedError("Forbidden", "exceeded quota")

    outcome = await execute(KEY.name, actions, carry_out, {})
    assert tried.count("edge-0") == 1
    assert outcome.failures.keys() == {names.client_name(KEY.name, "edge-0")}
    assert len(outcome.done) == 299


async def test_a_lost_lease_is_no_problem_of_the_job():
    cluster, stores = FakeCluster(), Stores()
    cluster.keep(a_node("edge-0", **EDGE))
    cluster.keep(manifest())
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def applied(body):
        stores.store_of(body).put(body)

    reconciler = Reconciler(cluster, stores, Settings(), applied, "operator-0", lambda: now)
    answer = cluster.transport

    async def until_the_lease_is_lost(request):
        if request.method == "POST" and "/jobs" in request.path:
            raise NotLeadingError("this replica doesn't hold the Lease")
        return await answer(request)

    cluster.transport = until_the_lease_is_lost

    async def reconcile():
        cluster.tell(stores)
        return await reconciler.reconcile(KEY)

    with pytest.raises(NotLeadingError):
        await reconcile()
    cluster.transport = answer
    await reconcile()
    conditions = cluster.of("SplitTrainingJob")[KEY.name]["status"]["conditions"]
    assert {each["type"]: each["status"] for each in conditions}["Degraded"] == "False"
