"""Jobs whose Workloads the controller of Kueue itself admits and evicts; kubelets are played by hand."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.testcluster import controlplane
from cluster.testcluster.access import ApiServer, UnavailableError
from cluster.testcluster.kueue import API, definitions
from cluster.testcluster.layout import BIN
from control_loop.operating import OperatorProcess, World, eventually, free_port, operator, training_job
from control_loop.status_page import StatusPage
from pslgs_operator import names
from pslgs_operator.gvk import WORKLOADS

pytestmark = pytest.mark.e2e  # Kueue takes minutes to build, and needs a folder of root's

KUEUE = BIN / "kueue"
QUEUE = "sites"
METRICS = "/etc/kueue/metrics/certs"
"""Where Kueue looks for a certificate when it does not issue its own; nobody else sees this one there."""


@pytest.fixture(scope="module")
def kueue(own_api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with Kueue's controller, which manages Jobs without a queue as well."""
    if not KUEUE.exists():
        pytest.skip("Kueue is not built here: run `testcluster build kueue`")
    try:
        folder = definitions()
    except UnavailableError as reason:
        pytest.skip(str(reason))
    run, scratch = own_api_server.run, tmp_path_factory.mktemp("kueue")
    run("apply", "--server-side", f"--filename={folder}")
    own_api_server.wait_for_kinds()
    run.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kueue-system"}})
    port = free_port()
    config = scratch / "config.yaml"
    config.write_text(json.dumps(configuration(own_api_server, scratch, port)))
    environ = {**os.environ, "KUBECONFIG": str(own_api_server.kubeconfig), "POD_NAMESPACE": "kueue-system"}
    command = (
        f"mkdir -p {METRICS} && mount --bind {scratch} {METRICS} && "
        f"exec {KUEUE} --config={config} --feature-gates=VisibilityOnDemand=false"
    )
    with (scratch / "kueue.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", command], env=environ, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: answers(process, port, scratch), 120, f"Kueue, see {scratch}")
        yield own_api_server
    finally:
        process.terminate()
        process.wait(60)
        run(
            "delete",
            "workloads,localqueues,clusterqueues,resourceflavors",
            "--all",
            "--all-namespaces",
            "--wait=false",
        )


def configuration(server: ApiServer, scratch: Path, port: int) -> dict[str, Any]:
    certificate, key = controlplane.authority(server.own()).issue("kueue", addresses=["127.0.0.1"])
    for source, name in ((certificate, "tls.crt"), (key, "tls.key")):
        (scratch / name).write_bytes(source.read_bytes())
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{port}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": free_port(), "certDir": str(scratch)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "manageJobsWithoutQueueName": True,
        "integrations": {
            "frameworks": ["batch/job"],
            "externalFrameworks": [names.EXTERNAL_FRAMEWORK],
        },
    }


def answers(process: "subprocess.Popen[bytes]", port: int, scratch: Path) -> bool:
    assert process.poll() is None, (scratch / "kueue.log").read_text()[-3000:]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def quota(kueue: ApiServer, bare_world: World) -> World:
    """A queue with quota for one job of two clients."""
    name = bare_world.namespace
    of_queue = {
        "queueingStrategy": "BestEffortFIFO",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [
            {
                "coveredResources": ["cpu", "memory"],
                "flavors": [
                    {
                        "name": name,
                        "resources": [
                            {"name": "cpu", "nominalQuota": "1"},
                            {"name": "memory", "nominalQuota": "2Gi"},
                        ],
                    }
                ],
            }
        ],
    }
    kueue.run.apply(
        an_object("ResourceFlavor", name, {"nodeLabels": bare_world.site}),
        an_object("ClusterQueue", name, of_queue),
        an_object("LocalQueue", QUEUE, {"clusterQueue": name}, namespace=name),
        priority_class("nightly", 1),
        priority_class("urgent", 9),
    )
    return bare_world


def priority_class(name: str, value: int) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": API, "kind": "WorkloadPriorityClass", "metadata": metadata, "value": value}


def an_object(kind: str, name: str, spec: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


@pytest.fixture
def running(
    own_api_server: ApiServer, defined: ApiServer, kueue: ApiServer, tmp_path: Path
) -> Iterator[OperatorProcess]:
    with operator(own_api_server.kubeconfig, tmp_path, PSLGS_KUEUE="true") as process:
        yield process


def submit(world: World, name: str, priority: str) -> None:
    job = training_job(name, world.namespace, world.site)
    labels = {"kueue.x-k8s.io/queue-name": QUEUE, "kueue.x-k8s.io/priority-class": priority}
    job["metadata"]["labels"] = labels
    world.server.run.apply(job)


def workload(world: World, job: str) -> dict[str, Any]:
    return world.server.direct.get(WORKLOADS.path(world.namespace, names.workload_name(job))) or {}


def holds(world: World, job: str, kind: str) -> bool:
    conditions = workload(world, job).get("status", {}).get("conditions", [])
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def jobs_of(world: World, name: str) -> set[str]:
    return {each for each in world.names("jobs") if each.startswith(f"{name}-")}


def test_a_job_of_higher_priority_takes_the_quota_and_gives_it_back(
    quota: World, running: OperatorProcess, page: StatusPage
) -> None:
    world = quota
    submit(world, "first", "nightly")
    eventually(lambda: len(jobs_of(world, "first")) == 3, what=f"Jobs: {workload(world, 'first')}")
    for each in world.all("jobs"):
        assert each["spec"].get("suspend") is not True
    submit(world, "second", "nightly")
    eventually(
        lambda: "insufficient" in world.condition("second", "Ready")[2], what=str(world.status("second"))
    )
    assert jobs_of(world, "second") == set()
    submit(world, "third", "urgent")
    eventually(
        lambda: len(jobs_of(world, "third")) == 3,
        what=f"{workload(world, 'third')} {workload(world, 'first')}",
    )
    assert jobs_of(world, "first") == set()
    assert "evicted" in world.condition("first", "Ready")[2]
    world.run_pod("third-server", page.ip)
    page.train()
    eventually(lambda: world.condition("third", "Ready")[0] == "True", what=str(world.status("third")))
    eventually(lambda: holds(world, "third", "PodsReady"))
    world.kubectl("patch", "splittrainingjob", "third", "--type=merge", '--patch={"spec":{"suspend":true}}')
    eventually(lambda: len(jobs_of(world, "first")) == 3, what=f"{workload(world, 'first')}")
    assert workload(world, "third") == {}
    world.kubectl("delete", "splittrainingjob", "first")
    eventually(lambda: len(jobs_of(world, "second")) == 3, what=f"{workload(world, 'second')}")
