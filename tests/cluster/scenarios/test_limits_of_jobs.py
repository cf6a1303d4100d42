"""Deadlines, times to live and retries as in batch/v1; and what goes when its namespace goes."""

from collections import Counter
from datetime import datetime, timedelta

import pytest

from cluster.scenarios import stuck
from cluster.scenarios.trainings import give_digits, training
from cluster.testcluster.installing import DEPLOYMENT
from cluster.testcluster.installing import NAMESPACE as OPERATORS_NAMESPACE
from cluster.testcluster.stage import Cluster, condition, is_true

pytestmark = pytest.mark.e2e

CHILDREN = "jobs,pods,services,configmaps,secrets,networkpolicies,persistentvolumeclaims"
LATE = timedelta(seconds=5)


@pytest.fixture(autouse=True)
def digits(own_cluster: Cluster) -> None:
    give_digits(own_cluster, "edge-0", range(5))
    give_digits(own_cluster, "edge-1", range(5, 10))


def time(written: str) -> datetime:
    return datetime.fromisoformat(written)


def test_a_job_fails_when_its_deadline_is_over_and_frees_its_pods(own_cluster, namespace):
    own_cluster.apply(namespace, training("late", activeDeadlineSeconds=45))
    found = own_cluster.wait_for(namespace, "stj/late", is_true("Failed"), seconds=240)
    said, status = condition(found, "Failed"), found["status"]
    assert said["reason"] == "DeadlineExceeded"
    assert "spec.activeDeadlineSeconds (45 seconds)" in said["message"]
    took = time(status["completionTime"]) - time(status["startTime"])
    assert timedelta(seconds=45) <= took <= timedelta(seconds=45) + LATE
    own_cluster.wait_until_gone(namespace, "pods --all", seconds=240)


def test_a_job_is_deleted_when_its_time_to_live_is_over_with_all_that_is_its_own(own_cluster, namespace):
    job = stuck.bad_cut()
    job["spec"]["ttlSecondsAfterFinished"] = 20
    own_cluster.apply(namespace, job)
    found = own_cluster.wait_for(namespace, "stj/bad-cut", is_true("Failed"), seconds=240)
    own_cluster.wait_until_gone(namespace, "stj/bad-cut", seconds=40)
    deleted = [each.at for each in own_cluster.requests() if (each.verb, each.name) == ("delete", "bad-cut")]
    assert (
        timedelta(seconds=20)
        <= deleted[0] - time(found["status"]["completionTime"])
        <= timedelta(seconds=20) + LATE
    )
    own_cluster.wait_until_gone(namespace, f"{CHILDREN} --selector=pslgs.dev/job=bad-cut", seconds=60)


def test_a_server_that_crashes_is_tried_as_often_as_its_job_allows(own_cluster, namespace):
    crash = ["sh", "-c", "echo the disk is on fire >&2; exit 1"]
    own_cluster.apply(namespace, stuck.with_server(training("crashing", backoffLimit=2), command=crash))
    found = own_cluster.wait_for(namespace, "stj/crashing", is_true("Degraded"), seconds=60)
    assert condition(found, "Degraded")["reason"] == "ServerCrashed"
    assert "failed with exit code 1: the disk is on fire" in condition(found, "Degraded")["message"]

    found = own_cluster.wait_for(namespace, "stj/crashing", is_true("Failed"), seconds=300)
    said = condition(found, "Failed")
    assert said["reason"] == "BackoffLimitExceeded"
    assert "spec.backoffLimit (2)" in said["message"]
    assert "on node gpu-0 failed with exit code 1: the disk is on fire" in said["message"]
    pods = own_cluster.run.json("--namespace", namespace, "get", "pods")["items"]
    assert Counter(pod["metadata"]["labels"]["pslgs.dev/role"] for pod in pods)["server"] == 3
    assert found["status"]["server"]["restarts"] == 2


def test_a_namespace_goes_with_its_jobs_while_the_operator_is_away(own_cluster, namespace):
    own_cluster.apply(namespace, training("abandoned"))
    own_cluster.wait_for(namespace, "stj/abandoned", is_true("Ready"), seconds=240)
    scale_the_operator(own_cluster, 0)
    try:
        own_cluster.run("delete", "namespace", namespace, "--wait=false")
        own_cluster.run("wait", "--for=delete", "--timeout=120s", f"namespace/{namespace}")
        assert own_cluster.run("get", "namespace", namespace, "--ignore-not-found") == ""
    finally:
        scale_the_operator(own_cluster, 1)
        own_cluster.wait_for(OPERATORS_NAMESPACE, DEPLOYMENT, is_true("Available"), 120)


def scale_the_operator(cluster: Cluster, replicas: int) -> None:
    cluster.run("--namespace", OPERATORS_NAMESPACE, "scale", DEPLOYMENT, f"--replicas={replicas}")
    if not replicas:
        cluster.wait_until_gone(OPERATORS_NAMESPACE, "pods --all")
