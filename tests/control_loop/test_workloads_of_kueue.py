"""Workloads of jobs against the definitions of Kueue itself; its scheduler is played by hand."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.testcluster.access import ApiServer, UnavailableError
from cluster.testcluster.helm import CHART, RELEASE, helm_of
from cluster.testcluster.kueue import API, definitions
from control_loop.operating import World, eventually, operator, training_job
from manifests.jobs import body, clients
from pslgs_operator import names
from pslgs_operator.drift import merge_patch
from pslgs_operator.gvk import FLAVORS, WORKLOADS
from pslgs_operator.manifests import workload_status
from pslgs_operator.manifests.workload import workload
from pslgs_operator.parse.workloads import read_workload
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

pytestmark = pytest.mark.slow  # the definitions are large

QUEUE = {"kueue.x-k8s.io/queue-name": "sites"}
KINDS = ("workloads", "resourceflavors")
SETTINGS = Settings(kueue=True)
JOB, SERVER = "digits", names.server_name("digits")
WORKLOAD = names.workload_name(JOB)
POD = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "site", "operator": "Exists"}],
    "priorityClassName": "high",
    "initContainers": [
        {
            "name": "proxy",
            "image": "proxy",
            "restartPolicy": "Always",
            "resources": {"requests": {"cpu": "1"}},
        }
    ],
    "containers": [{"name": "client", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}],
}
JOBS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gpu": {"server": {"gpus": 1}},
    "overlaid": {"clients": clients(template={"spec": POD})},
}


@pytest.fixture(scope="module")
def kueue(own_api_server: ApiServer) -> Iterator[ApiServer]:
    """An API server with the definitions of Kueue."""
    try:
        folder = definitions()
    except UnavailableError as reason:
        pytest.skip(str(reason))
    files = [str(folder / f"kueue.x-k8s.io_{kind}.yaml") for kind in KINDS]
    own_api_server.run("apply", "--server-side", *(f"--filename={each}" for each in files))
    own_api_server.wait_for_kinds()
    yield own_api_server
    own_api_server.run("delete", "crd", *(f"{kind}.kueue.x-k8s.io" for kind in KINDS))


@pytest.fixture
def asking(defined: ApiServer, kueue: ApiServer, namespace: str) -> dict[str, Any]:
    """The Workload of a job that is there, as it is stored."""
    job = queued(namespace, uid=uid_of_job(defined, namespace))
    made = workload(job, 3, SETTINGS, None)
    kueue.run("create", "--validate=strict", "--filename=-", stdin=json.dumps(made))
    return stored(kueue, namespace)


def queued(namespace: str, uid: str = "", **spec: Any) -> TrainingJob:
    applied = body(namespace=namespace, **spec)
    applied["metadata"]["labels"] = QUEUE
    applied["metadata"]["uid"] = uid or applied["metadata"]["uid"]
    return TrainingJob.parse(applied)


def uid_of_job(server: ApiServer, namespace: str) -> str:
    server.run.apply(training_job(JOB, namespace, {"site": "a"}))
    found = server.run.json("--namespace", namespace, "get", "splittrainingjob", JOB)
    return str(found["metadata"]["uid"])


def stored(server: ApiServer, namespace: str) -> dict[str, Any]:
    return server.direct.get(WORKLOADS.path(namespace, WORKLOAD)) or {}


def set_status(server: ApiServer, namespace: str, *conditions: tuple[str, str, str], **status: Any) -> None:
    """Do as Kueue: set conditions, by type, status and reason."""
    time = "2026-01-01T00:00:00Z"
    old = stored(server, namespace).get("status", {}).get("conditions", [])
    merged = {each["type"]: each for each in old}
    for kind, holds, reason in conditions:
        new = {"type": kind, "status": holds, "reason": reason, "message": "", "lastTransitionTime": time}
        merged[kind] = new
    patch = {"status": {**status, "conditions": list(merged.values())}}
    server.direct.merge(WORKLOADS.path(namespace, WORKLOAD, "status"), patch)


def admit(server: ApiServer, namespace: str) -> None:
    assigned = [
        {"name": "server", "count": 1, "flavors": {"cpu": "any"}, "resourceUsage": {"cpu": "500m"}},
        {"name": "clients", "count": 2, "flavors": {"cpu": "any"}, "resourceUsage": {"cpu": "1"}},
    ]
    set_status(
        server,
        namespace,
        ("QuotaReserved", "True", "QuotaReserved"),
        ("Admitted", "True", "Admitted"),
        ("Evicted", "False", "QuotaReserved"),
        admission={"clusterQueue": "sites", "podSetAssignments": assigned},
    )


@pytest.mark.parametrize("priority", [None, 7], ids=["no-class", "a-class"])
@pytest.mark.parametrize("spec", JOBS.values(), ids=JOBS)
def test_the_workload_of_a_job_is_accepted_and_stored_as_it_was_rendered(kueue, namespace, spec, priority):
    job = queued(namespace, **spec)
    if priority:
        job = replace(job, queue_labels={**QUEUE, names.PRIORITY_LABEL: "high"})
    wanted = workload(job, 3, SETTINGS, priority)
    wanted["metadata"].pop("ownerReferences")  # its owner is not there, so it would be collected
    kueue.run("create", "--validate=strict", "--filename=-", stdin=json.dumps(wanted))
    found = stored(kueue, namespace)
    assert merge_patch(wanted, found) == {}
    read = read_workload(found)
    assert read.counts == {"server": 1, "clients": 3}
    assert (read.priority, read.active) == (priority, True)


def test_quota_is_given_back_by_an_answer_that_the_definition_allows(kueue, namespace, asking):
    path = WORKLOADS.path(namespace, WORKLOAD, "status")
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    admit(kueue, namespace)
    kueue.direct.merge(path, workload_status.pods_ready(read_workload(stored(kueue, namespace)), now))
    set_status(kueue, namespace, ("Evicted", "True", "Preempted"))
    kueue.direct.merge(path, workload_status.released(read_workload(stored(kueue, namespace)), now))
    status = stored(kueue, namespace)["status"]
    assert "admission" not in status
    assert status["accumulatedPastExecutionTimeSeconds"] == 60
    read = read_workload(stored(kueue, namespace))
    assert [read.reserved, read.admitted, read.pods_ready] == [False, False, False]
    assert read.condition("Requeued")["status"] == "True"
    kueue.direct.merge(path, workload_status.finished(read, "Succeeded", "done", now))
    assert read_workload(stored(kueue, namespace)).finished


def test_a_workload_may_change_until_quota_is_reserved(kueue, namespace, asking):
    wanted = workload(queued(namespace, uid=asking["metadata"]["ownerReferences"][0]["uid"]), 4, SETTINGS, 9)
    kueue.direct.merge(WORKLOADS.path(namespace, WORKLOAD), merge_patch(wanted, asking))
    assert read_workload(stored(kueue, namespace)).counts["clients"] == 4


def test_an_operator_with_the_rights_of_the_chart_runs_a_job_while_it_is_admitted(
    kueue: ApiServer, installed: Path, bare_world: World, tmp_path: Path
) -> None:
    world, namespace = bare_world, bare_world.namespace
    grant(kueue)
    flavor = {"metadata": {"name": "any"}, "spec": {"nodeLabels": world.site}}
    kueue.direct.create(FLAVORS.path(), {"apiVersion": API, "kind": "ResourceFlavor", **flavor})
    job = training_job(JOB, namespace, world.site)
    job["metadata"]["labels"] = QUEUE
    with operator(installed, tmp_path, PSLGS_KUEUE="true"):
        kueue.run.apply(job)
        eventually(lambda: stored(kueue, namespace), what="the Workload")
        eventually(lambda: world.condition(JOB, "Ready")[1] == "WaitingForQuota")
        assert world.names("jobs") == set()
        admit(kueue, namespace)
        eventually(lambda: len(world.names("jobs")) == 3, what="the Jobs")
        assert world.get("job", SERVER)["spec"]["template"]["spec"]["nodeSelector"] == world.site
        set_status(kueue, namespace, ("Evicted", "True", "Preempted"))
        eventually(lambda: "admission" not in stored(kueue, namespace)["status"], what="the quota is back")
        assert (world.names("jobs"), world.all("pods")) == (set(), [])
        world.kubectl("delete", "splittrainingjob", JOB)
        eventually(lambda: not stored(kueue, namespace), what="the end of the Workload")


def grant(server: ApiServer) -> None:
    """Give the operator the rights of the chart in a cluster with Kueue."""
    found = helm_of(server)(
        "template", RELEASE, CHART, "--show-only=templates/operator/clusterrole.yaml", "--kube-version=1.34",
        f"--api-versions={API}/Workload", "--set=kueue.enabled=true",
    )  # fmt: skip
    server.run("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=found)
