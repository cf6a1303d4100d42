"""Edge nodes that lose their power or their cable, that come late, and that are not wanted any more."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from cluster.scenarios.trainings import give_digits, server_metric, start, step, training, uids
from cluster.testcluster.stage import Cluster, condition, is_true

pytestmark = pytest.mark.e2e

LATE = "scenario.pslgs.dev/late"
TOLD_WITHIN = timedelta(seconds=15)


def test_a_job_that_loses_all_clients_waits_and_then_fails(breakable, namespace, samples):
    faults = {"clientTimeoutSeconds": 5, "quorumTimeoutSeconds": 30}
    start(breakable, namespace, training("digits", faults=faults))
    for node in ("edge-0", "edge-1"):
        breakable.power_off(node)

    found = breakable.wait_for(
        namespace,
        "stj/digits",
        lambda job: condition(job, "Degraded")["message"].startswith("nodes edge-0 and edge-1 are not ready"),
    )
    assert condition(found, "Ready")["reason"] == "WaitingForClients"
    assert condition(found, "Degraded")["reason"] == "ClientLost"
    assert found["status"]["clients"]["summary"] == "0/2"

    found = breakable.wait_for(namespace, "stj/digits", is_true("Failed"))
    assert condition(found, "Failed")["reason"] == "QuorumLost"
    assert "0 of 2 expected clients connected, 1 needed" in condition(found, "Failed")["message"]
    server = breakable.run.json("--namespace", namespace, "get", "job/digits-server")
    assert not server["status"].get("active"), "its GPU is free"
    told = [each.reason for each in breakable.events(namespace, "digits", until="Failed")]
    assert [told[0], told[-1]] == ["Accepted", "Failed"]
    assert set(told[3:-1]) == {"ClientLost", "Degraded"}


def test_a_node_whose_cable_is_cut_is_missed_and_comes_back(breakable, namespace, samples):
    start(breakable, namespace, training("digits", faults={"clientTimeoutSeconds": 5}))
    pods = uids(breakable, namespace, "pods", "digits")
    breakable.cut("edge-1")

    found = breakable.wait_for(
        namespace, "stj/digits", lambda job: "edge-1 is not ready" in condition(job, "Degraded")["message"]
    )
    assert condition(found, "Degraded")["reason"] == "ClientLost"
    node = breakable.run.json("get", "node/edge-1")
    assert transition(found, "Degraded") - transition(node, "Ready") < TOLD_WITHIN
    assert condition(found, "Ready")["status"] == "True"
    assert found["status"]["clients"]["lost"] == ["edge-1-0"]
    breakable.wait_for(namespace, "stj/digits", lambda job: step(job) > step(found))

    breakable.heal("edge-1")
    found = breakable.wait_for(namespace, "stj/digits", lambda job: not is_true("Degraded")(job), seconds=90)
    assert found["status"]["clients"]["summary"] == "2/2"
    assert condition(found, "Ready")["status"] == "True"
    assert uids(breakable, namespace, "pods", "digits") == pods
    told = [each.reason for each in breakable.events(namespace, "digits", until="Recovered")]
    assert told[:3] == ["Accepted", "Started", "TrainingStarted"]
    assert [each for each in told[3:] if each != "Degraded"] == ["ClientLost", "ClientReturned", "Recovered"]


def test_a_node_that_comes_late_joins_until_its_label_is_removed(breakable, namespace, samples):
    with late_node(breakable):
        start(breakable, namespace, training("digits", selector={LATE: "true"}))
        pods = uids(breakable, namespace, "pods", "digits")
        breakable.add_node(f"late-0:{LATE}=true")
        give_digits(breakable, "late-0", range(5, 10))

        found = breakable.wait_for(namespace, "stj/digits", lambda job: summary(job) == "2/2", seconds=180)
        assert found["status"]["server"]["restarts"] == 0
        breakable.wait_for(namespace, "stj/digits", lambda job: step(job) > step(found) + 50)
        series = 'pslgs_client_samples_total{client="late-0-0"}'
        assert server_metric(breakable, namespace, "digits", series) > 0
        assert pods.items() < uids(breakable, namespace, "pods", "digits").items()

        breakable.run("label", "node", "late-0", f"{LATE}-")
        children = ("job/digits-client-late-0-0", "secret/digits-client-late-0-0-tls")
        breakable.wait_until_gone(namespace, *children)
        found = breakable.wait_for(namespace, "stj/digits", is_true("Degraded"))
        assert "no node for it has the labels" in condition(found, "Degraded")["message"]
        breakable.wait_for(namespace, "stj/digits", lambda job: step(job) > step(found))
        assert uids(breakable, namespace, "pods", "digits") == pods


@contextmanager
def late_node(cluster: Cluster) -> Iterator[None]:
    """Label edge-0, and take late-0 out of the cluster afterwards."""
    cluster.run("label", "node", "edge-0", f"{LATE}=true")
    try:
        yield
    finally:
        cluster.run("label", "node", "edge-0", f"{LATE}-")
        cluster.remove_node("late-0")


def summary(found: Mapping[str, Any]) -> str:
    """How many clients take part."""
    text: str = found["status"]["clients"]["summary"]
    return text


def transition(found: Mapping[str, Any], kind: str) -> datetime:
    """When a condition became what it is."""
    return datetime.fromisoformat(condition(found, kind)["lastTransitionTime"])
