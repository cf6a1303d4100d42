from collections.abc import Iterator
from typing import Any

import pytest

from cluster.testcluster import access, baseimage, stage
from cluster.testcluster.stage import Cluster, is_true

pytestmark = [pytest.mark.e2e]

SERVE = ["python3", "-m", "http.server", "8000", "--directory=/data", "--bind=::"]
FETCH = """
import time, urllib.request
deadline = time.monotonic() + 60
while True:
    try:
        print(urllib.request.urlopen("http://shelf:8000/note", timeout=5).read().decode())
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.5)
"""


@pytest.fixture(scope="module")
def machines() -> Iterator[Cluster]:
    try:
        with stage.cluster() as running:
            yield running
    except access.UnavailableError as reason:
        pytest.skip(str(reason))


def pod(name: str, node: str, command: list[str], **container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"name": name}},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": baseimage.NAME, "command": command, **container}],
            "volumes": [{"name": "data", "hostPath": {"path": "/srv"}}],
        },
    }


def service(name: str) -> dict[str, Any]:
    spec = {"clusterIP": "None", "selector": {"name": name}, "ports": [{"port": 8000}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


@pytest.mark.smoke
def test_pods_on_different_nodes_reach_each_other_by_name(machines: Cluster) -> None:
    (machines.srv("edge-0") / "note").write_text("written on the disk of edge-0")
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    machines.apply("default", pod("shelf", "edge-0", SERVE, **mount), service("shelf"))
    machines.apply("default", pod("reader", "edge-1", ["python3", "-c", FETCH]))
    machines.wait_for("default", "pod/reader", lambda found: found["status"]["phase"] == "Succeeded", 90)
    assert machines.logs("default", "reader").strip() == "written on the disk of edge-0"


@pytest.mark.smoke
def test_the_gpu_of_its_node_can_be_asked_for(machines: Cluster) -> None:
    machines.wait_for(
        "", "node/gpu-0", lambda found: found["status"]["allocatable"].get("nvidia.com/gpu") == "1"
    )


def test_a_claim_gets_a_volume_that_anybody_can_write_to(machines: Cluster) -> None:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "notes"}, "spec": wanted}
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    writer = pod("writer", "edge-0", ["touch", "/data/note"], securityContext={"runAsUser": 65532}, **mount)
    writer["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "notes"}}]
    machines.apply("default", {"apiVersion": "v1", **claim}, writer)
    machines.wait_for("default", "pod/writer", lambda found: found["status"]["phase"] == "Succeeded", 90)


def test_a_node_without_power_is_not_ready_until_it_has_power_again(machines: Cluster) -> None:
    machines.power_off("edge-1")
    machines.wait_for("", "node/edge-1", lambda found: not is_true("Ready")(found))
    machines.power_on("edge-1")
    machines.wait_for("", "node/edge-1", is_true("Ready"))


def test_a_node_whose_cable_is_cut_is_not_ready_until_it_is_plugged_in(machines: Cluster) -> None:
    machines.cut("edge-0")
    machines.wait_for("", "node/edge-0", lambda found: not is_true("Ready")(found))
    machines.heal("edge-0")
    machines.wait_for("", "node/edge-0", is_true("Ready"))


def test_a_node_joins_a_running_cluster(machines: Cluster) -> None:
    machines.add_node("edge-2:pslgs.dev/edge=true,zone=b")
    labels = machines.run.json("get", "node", "edge-2")["metadata"]["labels"]
    assert (labels["pslgs.dev/edge"], labels["zone"]) == ("true", "b")


def test_pods_go_on_while_the_control_plane_is_restarted(machines: Cluster) -> None:
    machines.apply("default", pod("sleeper", "gpu-0", ["sleep", "600"]))
    machines.wait_for("default", "pod/sleeper", is_true("Ready"))
    for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        machines.restart(component)
    found = machines.wait_for("default", "pod/sleeper", is_true("Ready"))
    assert found["status"]["containerStatuses"][0]["restartCount"] == 0
