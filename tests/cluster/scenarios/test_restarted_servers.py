"""A server that ends before its time goes on from its checkpoint, and nothing of it shows in the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from cluster.scenarios.trainings import model, server_pod, server_status, start, training
from cluster.testcluster.installing import DEPLOYMENT, NAMESPACE
from cluster.testcluster.stage import Cluster, condition, is_true

pytestmark = pytest.mark.e2e

EPOCHS = 120
TOLD_WITHIN = timedelta(seconds=15)


@pytest.fixture(scope="module")
def undisturbed(own_cluster: Cluster, samples: dict[str, int]) -> Iterator[bytes]:
    """The weights of a training in which nothing happens."""
    namespace = f"undisturbed-{uuid4().hex[:8]}"
    own_cluster.run("create", "namespace", namespace)
    own_cluster.apply(namespace, job())
    own_cluster.wait_for(namespace, "stj/digits", is_true("Complete"), seconds=300)
    yield model(own_cluster, namespace, "digits")
    own_cluster.run("delete", "namespace", namespace, "--wait=false")


def test_a_server_whose_pod_is_deleted_leaves_no_trace_in_the_weights(own_cluster, namespace, undisturbed):
    pod = train(own_cluster, namespace)
    own_cluster.run("--namespace", namespace, "delete", f"pod/{pod}", "--force", "--grace-period=0")
    assert_recovered(own_cluster, namespace, undisturbed)


def test_a_server_that_is_killed_leaves_no_trace_in_the_weights(own_cluster, namespace, undisturbed):
    pod = train(own_cluster, namespace)
    own_cluster.kill(namespace, pod)
    assert_recovered(own_cluster, namespace, undisturbed)


def test_a_server_whose_node_loses_its_power_goes_on_when_that_is_back(breakable, namespace, undisturbed):
    with operator_at(breakable, "edge-0"):
        train(breakable, namespace)
        breakable.power_off("gpu-0")
        found = breakable.wait_for(
            namespace, "stj/digits", lambda job: condition(job, "Ready")["reason"] == "ServerSilent"
        )
        assert "node gpu-0 is not ready" in condition(found, "Ready")["message"]
        node = breakable.run.json("get", "node/gpu-0")
        told, known = (condition(each, "Ready")["lastTransitionTime"] for each in (found, node))
        assert datetime.fromisoformat(told) - datetime.fromisoformat(known) < TOLD_WITHIN
        breakable.power_on("gpu-0")
        assert_recovered(breakable, namespace, undisturbed)


def job():
    """A job that writes a checkpoint about every second."""
    return training("digits", epochs=EPOCHS, checkpoint_every=100)


def train(cluster: Cluster, namespace: str) -> str:
    """Start the job, and name its server's pod once there is something to go on from."""
    start(cluster, namespace, job())
    # The job's status has its figures twice a minute, when the training may be over.
    cluster.wait_for(
        namespace, "stj/digits", lambda _: server_status(cluster, namespace, "digits")["lastCheckpoint"]
    )
    pod: str = server_pod(cluster, namespace, "digits")["metadata"]["name"]
    return pod


def assert_recovered(cluster: Cluster, namespace: str, weights: bytes) -> None:
    found = cluster.wait_for(namespace, "stj/digits", is_true("Complete"), seconds=300)
    assert found["status"]["server"]["restarts"] == 1
    events = cluster.events(namespace, "digits", until="ServerRestarted")
    told = [each for each in events if each.reason == "ServerRestarted"]
    assert len(told) == 1
    assert "it goes on from step" in told[0].message
    assert model(cluster, namespace, "digits") == weights
    clients = cluster.run.json("--namespace", namespace, "get", "pods", "--selector=pslgs.dev/role=client")
    assert len(clients["items"]) == 2, "clients outlast the server, with their data at hand"


@contextmanager
def operator_at(cluster: Cluster, node: str) -> Iterator[None]:
    """Let the operator run at a node for a while."""

    def move(selector: str) -> None:
        patch = f'{{"spec": {{"template": {{"spec": {{"nodeSelector": {selector}}}}}}}}}'
        cluster.run("--namespace", NAMESPACE, "patch", DEPLOYMENT, "--patch", patch)
        cluster.run("--namespace", NAMESPACE, "rollout", "status", DEPLOYMENT, "--timeout=90s")

    move(f'{{"kubernetes.io/hostname": "{node}"}}')
    try:
        yield
    finally:
        move("null")
