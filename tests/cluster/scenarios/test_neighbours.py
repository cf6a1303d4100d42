"""Jobs side by side: each has its own children, certificates and clients, whatever the others are called."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from cluster.scenarios.trainings import server_metric, server_status, start, step, training, uids
from cluster.testcluster.stage import Cluster, is_true
from pslgs.spec import ExitCode

pytestmark = pytest.mark.e2e

CHILDREN = "jobs,pods,services,configmaps,secrets,networkpolicies,persistentvolumeclaims"
EDGE_0 = {"kubernetes.io/hostname": "edge-0"}
EDGE_1 = {"kubernetes.io/hostname": "edge-1"}
BOTH = {"pslgs.dev/edge": "true"}


@pytest.fixture
def elsewhere(own_cluster):
    """A second namespace."""
    name = f"test-{uuid4().hex[:8]}"
    own_cluster.run("create", "namespace", name)
    yield name
    own_cluster.run("delete", "namespace", name, "--wait=false")


def test_jobs_in_one_namespace_or_of_one_name_do_not_see_each_other(
    own_cluster, namespace, elsewhere, samples
):
    jobs = {(namespace, "alpha"): EDGE_0, (namespace, "beta"): BOTH, (elsewhere, "alpha"): EDGE_1}
    for (where, name), selector in jobs.items():
        own_cluster.apply(where, training(name, selector=selector))
    clients = {}
    for where, name in jobs:
        own_cluster.wait_for(where, f"stj/{name}", is_true("Ready"), seconds=240)
        clients[where, name] = server_status(own_cluster, where, name)["clients"]
    assert clients == {
        (namespace, "alpha"): {"live": ["edge-0-0"], "lost": [], "excluded": []},
        (namespace, "beta"): {"live": ["edge-0-0", "edge-1-0"], "lost": [], "excluded": []},
        (elsewhere, "alpha"): {"live": ["edge-1-0"], "lost": [], "excluded": []},
    }

    before = {job: uids(own_cluster, job[0], CHILDREN, job[1]) for job in jobs}
    own_cluster.run("--namespace", namespace, "delete", "stj/alpha")
    own_cluster.wait_until_gone(namespace, "pods --selector=pslgs.dev/job=alpha", seconds=120)
    for where, name in ((namespace, "beta"), (elsewhere, "alpha")):
        found = own_cluster.run.json("--namespace", where, "get", f"stj/{name}")
        own_cluster.wait_for(where, f"stj/{name}", partial(goes_on, step(found)))
        assert uids(own_cluster, where, CHILDREN, name) == before[where, name]
        reasons = [each.reason for each in own_cluster.events(where, name, until="TrainingStarted")]
        assert reasons == ["Accepted", "Started", "TrainingStarted"]


def test_a_client_with_another_certificate_is_refused(own_cluster, namespace, samples):
    start(own_cluster, namespace, training("alpha"), training("beta", selector=EDGE_0))
    own_cluster.wait_for(namespace, "secret/beta-client-edge-0-0-tls", lambda secret: secret["data"])
    own_cluster.apply(
        namespace,
        intruder(own_cluster, namespace, "stranger", "beta-client-edge-0-0-tls", trusting=False),
        intruder(own_cluster, namespace, "spy", "beta-client-edge-0-0-tls", trusting=True),
        intruder(own_cluster, namespace, "impostor", "alpha-client-edge-1-0-tls", trusting=True),
    )
    code, said = ending(own_cluster, namespace, "stranger")
    assert code == ExitCode.SERVER_UNREACHABLE
    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert ending(own_cluster, namespace, "spy")[0] == ExitCode.SERVER_UNREACHABLE
    code, said = ending(own_cluster, namespace, "impostor")
    assert code == ExitCode.REFUSED
    assert said.endswith("The certificate is for edge-1-0 and not for edge-0-0.")
    impostors = 'pslgs_clients_refused_total{reason="Impostor"}'
    assert server_metric(own_cluster, namespace, "alpha", impostors) == 1

    assert server_status(own_cluster, namespace, "alpha")["clients"]["live"] == ["edge-0-0", "edge-1-0"]
    found = own_cluster.run.json("--namespace", namespace, "get", "stj/alpha")
    own_cluster.wait_for(namespace, "stj/alpha", lambda job: step(job) > step(found))
    told = [each.reason for each in own_cluster.events(namespace, "alpha", until="TrainingStarted")]
    assert told[2:] == ["TrainingStarted"]


def ending(cluster: Cluster, namespace: str, pod: str) -> tuple[int, str]:
    """The exit code of a pod, and what it said at the end."""
    found = cluster.wait_for(namespace, f"pod/{pod}", has_ended, seconds=120)
    [container] = found["status"]["containerStatuses"]
    words = json.loads(container["state"]["terminated"]["message"])
    return words["exitCode"], words["message"]


def goes_on(last: int, job: Mapping[str, Any]) -> bool:
    return step(job) > last


def has_ended(pod: Mapping[str, Any]) -> bool:
    return pod["status"]["phase"] in {"Succeeded", "Failed"}


def intruder(
    cluster: Cluster, namespace: str, name: str, certificate: str, *, trusting: bool
) -> dict[str, Any]:
    """A pod like that of alpha's client at edge-0, with another certificate, maybe with alpha's authority."""
    job = cluster.run.json("--namespace", namespace, "get", "job/alpha-client-edge-0-0")
    spec = job["spec"]["template"]["spec"]
    [sources] = (each["projected"]["sources"] for each in spec["volumes"] if "projected" in each)
    [own] = (source["secret"] for source in sources if "secret" in source)
    kept = [item for item in own["items"] if trusting and item["key"] == "ca.crt"]
    stolen = [item for item in own["items"] if item not in kept]
    sources.append({"secret": {"name": certificate, "items": stolen}})
    if kept:
        own["items"] = kept
    else:
        sources.remove({"secret": own})
    [container] = spec["containers"]
    container["args"] = [each for each in container["args"] if not each.startswith("--patience")]
    container["args"].append("--patience=10")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
