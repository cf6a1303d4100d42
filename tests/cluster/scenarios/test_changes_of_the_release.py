"""Trainings go on while the chart is upgraded, rolled back, uninstalled and installed again."""

import json

import pytest

from chart.later import COLUMN, later_chart
from cluster.scenarios.trainings import server_status, start, step, training, uids
from cluster.testcluster.helm import RELEASE, helm_of
from cluster.testcluster.stage import Cluster

pytestmark = pytest.mark.e2e

CHILDREN = "jobs,pods,services,configmaps,secrets,networkpolicies,persistentvolumeclaims"
CRD = "crd/splittrainingjobs.pslgs.dev"
WAIT = ("--wait", "--timeout=120s")


def test_a_training_outlives_its_operators_release(own_cluster, namespace, samples, tmp_path):
    helm = helm_of(own_cluster)
    values = json.loads(helm("get", "values", RELEASE, "--output=json"))
    start(own_cluster, namespace, training("digits"))
    before = uids(own_cluster, namespace, CHILDREN, "digits")

    helm.change("upgrade", "--reset-then-reuse-values", *WAIT, chart=later_chart(tmp_path))
    assert columns(own_cluster)[0] == COLUMN
    told(own_cluster, namespace)
    helm("rollback", RELEASE, *WAIT)
    assert columns(own_cluster)[0] != COLUMN
    told(own_cluster, namespace)

    helm("uninstall", RELEASE, *WAIT)
    taken = server_status(own_cluster, namespace, "digits")["step"]
    own_cluster.wait_for(
        namespace, "stj/digits", lambda _: server_status(own_cluster, namespace, "digits")["step"] > taken
    )
    helm.change("install", *WAIT, **values)
    told(own_cluster, namespace)
    assert "Phase:          Succeeded" in helm("test", RELEASE, "--timeout=90s")
    assert uids(own_cluster, namespace, CHILDREN, "digits") == before
    events = [each.reason for each in own_cluster.events(namespace, "digits", until="TrainingStarted")]
    assert events == ["Accepted", "Started", "TrainingStarted"]


def columns(cluster: Cluster) -> list[str]:
    [version] = cluster.run.json("get", CRD)["spec"]["versions"]
    return [column["name"] for column in version["additionalPrinterColumns"]]


def told(cluster: Cluster, namespace: str) -> None:
    """Wait until an operator tells that the training has gone on."""
    found = cluster.run.json("--namespace", namespace, "get", "stj/digits")
    cluster.wait_for(namespace, "stj/digits", lambda job: step(job) > step(found))
