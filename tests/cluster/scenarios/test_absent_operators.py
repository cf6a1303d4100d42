"""A training goes on without its operator and without the API server, and neither does anything twice."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.scenarios.trainings import server_pod, start, step, training, uids
from cluster.testcluster.installing import DEPLOYMENT, NAMESPACE
from cluster.testcluster.stage import Cluster, condition, is_true

pytestmark = pytest.mark.e2e

EPOCHS = 80
OPERATOR = "system:serviceaccount:pslgs-system:pslgs-operator"
CHILDREN = "jobs,pods,services,configmaps,secrets,networkpolicies,persistentvolumeclaims"
TOLD = ["Accepted", "Started", "TrainingStarted", "Complete"]


def test_a_job_ends_without_its_operator_which_then_tells_how(own_cluster, namespace, samples):
    own_cluster.apply(namespace, training("digits", epochs=EPOCHS))
    own_cluster.wait_for(namespace, "job/digits-client-edge-1-0", lambda job: job["status"].get("active"))
    with without_operator(own_cluster):
        server = own_cluster.wait_for(namespace, "job/digits-server", is_true("Complete"), seconds=300)
        words = last_words(own_cluster, namespace)
        assert words["step"] == words["steps"]

    found = own_cluster.wait_for(namespace, "stj/digits", is_true("Complete"), seconds=15)
    status = found["status"]
    assert status["completionTime"] == server["status"]["completionTime"]
    assert status["training"]["step"] == status["training"]["steps"] == words["step"]
    assert status["training"]["progress"] == "100%"
    assert status["training"]["epochSummary"] == f"{EPOCHS}/{EPOCHS}"
    assert status["training"]["accuracy"] == f"{words['accuracy']:.1%}"
    assert status["clients"]["summary"] == "2/2"
    assert own_cluster.events(namespace, "digits", until="Complete")[-1].reason == "Complete"


def test_nothing_is_lost_when_the_api_server_is_restarted(own_cluster, namespace, samples):
    start(own_cluster, namespace, training("digits", epochs=EPOCHS))
    before = uids(own_cluster, namespace, CHILDREN, "digits")
    own_cluster.restart("kube-apiserver")

    found = own_cluster.wait_for(namespace, "stj/digits", is_true("Complete"), seconds=300)
    assert found["status"]["server"]["restarts"] == 0
    assert uids(own_cluster, namespace, CHILDREN, "digits") == before
    assert reasons(own_cluster, namespace, TOLD[-1]) == TOLD
    selector = "--selector=app.kubernetes.io/name=pslgs-operator"
    [operator] = own_cluster.run.json("--namespace", NAMESPACE, "get", "pods", selector)["items"]
    assert operator["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_new_operator_adopts_the_children_of_the_old_one(own_cluster, namespace, samples):
    start(own_cluster, namespace, training("digits"))
    before = uids(own_cluster, namespace, CHILDREN, "digits")
    mark = own_cluster.mark()
    with another_operator(own_cluster, PSLGS_IMAGE_PULL_POLICY="Never"):
        found = own_cluster.run.json("--namespace", namespace, "get", "stj/digits")
        own_cluster.wait_for(namespace, "stj/digits", lambda job: step(job) > step(found))
    assert uids(own_cluster, namespace, CHILDREN, "digits") == before
    assert changes(own_cluster, mark, namespace) == []

    own_cluster.run("--namespace", namespace, "patch", "stj/digits", "--type=merge", "--patch", SUSPEND)
    own_cluster.wait_for(namespace, "stj/digits", is_true("Suspended"))
    with another_operator(own_cluster, PSLGS_IMAGE_PULL_POLICY="Never"):
        own_cluster.run("--namespace", namespace, "patch", "stj/digits", "--type=merge", "--patch", RESUME)
        own_cluster.wait_for(namespace, "stj/digits", is_true("Ready"), seconds=240)
        [container] = server_pod(own_cluster, namespace, "digits")["spec"]["containers"]
        assert container["imagePullPolicy"] == "Never", "a start makes use of what is new"


def test_an_operator_that_starts_anew_tells_nothing_twice(own_cluster, namespace, samples):
    start(own_cluster, namespace, training("digits"))
    with without_operator(own_cluster):
        pass
    found = own_cluster.run.json("--namespace", namespace, "get", "stj/digits")
    after = own_cluster.wait_for(namespace, "stj/digits", lambda job: step(job) > step(found))
    assert reasons(own_cluster, namespace, TOLD[2]) == TOLD[:3]
    for kind in ("Accepted", "Ready", "Degraded"):
        assert condition(after, kind) == condition(found, kind)


SUSPEND = '{"spec": {"suspend": true}}'
RESUME = '{"spec": {"suspend": false}}'


def reasons(cluster: Cluster, namespace: str, until: str) -> list[str]:
    """The reasons of the Events of the job, once there is one of ``until``."""
    return [each.reason for each in cluster.events(namespace, "digits", until=until)]


@contextmanager
def without_operator(cluster: Cluster) -> Iterator[None]:
    """Let no operator run meanwhile."""
    cluster.run("--namespace", NAMESPACE, "scale", DEPLOYMENT, "--replicas=0")
    selector = "--selector=app.kubernetes.io/name=pslgs-operator"
    cluster.wait_until_gone(NAMESPACE, f"pods {selector}")
    try:
        yield
    finally:
        cluster.run("--namespace", NAMESPACE, "scale", DEPLOYMENT, "--replicas=1")
        rolled_out(cluster)


@contextmanager
def another_operator(cluster: Cluster, **settings: str) -> Iterator[None]:
    """Have an operator with other settings meanwhile, as after an upgrade."""
    words = [f"{name}={value}" for name, value in settings.items()]
    cluster.run("--namespace", NAMESPACE, "set", "env", DEPLOYMENT, *words)
    try:
        rolled_out(cluster)
        yield
    finally:
        cluster.run("--namespace", NAMESPACE, "set", "env", DEPLOYMENT, *(f"{name}-" for name in settings))
        rolled_out(cluster)


def rolled_out(cluster: Cluster) -> None:
    cluster.run("--namespace", NAMESPACE, "rollout", "status", DEPLOYMENT, "--timeout=90s")


def changes(cluster: Cluster, mark: int, namespace: str) -> list[tuple[str, str, str]]:
    """What operators have made, changed or deleted since, but for status and Leases."""
    return [
        (each.verb, each.resource, each.name)
        for each in cluster.requests(mark)
        if each.user == OPERATOR
        and each.namespace == namespace
        and each.verb in {"create", "patch", "update", "delete"}
        and each.resource not in {"splittrainingjobs/status", "leases"}
    ]


def last_words(cluster: Cluster, namespace: str) -> dict[str, float]:
    """What the server said of itself last of all."""
    [container] = server_pod(cluster, namespace, "digits")["status"]["containerStatuses"]
    words: dict[str, float] = json.loads(container["state"]["terminated"]["message"])
    return words
