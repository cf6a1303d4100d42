"""From an applied manifest to a trained model, and what a job does when it is put to sleep or deleted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.scenarios import reading_back
from cluster.scenarios.pace import slowed
from cluster.scenarios.trainings import ENDLESS, server_pod, step, training
from cluster.testcluster.stage import Cluster, condition, is_true

pytestmark = [pytest.mark.e2e, pytest.mark.smoke]

CHILDREN = "jobs,pods,services,configmaps,secrets,networkpolicies,persistentvolumeclaims"
EPOCHS = 60
GRACE_SECONDS = 60  # of the server's pod


def test_a_job_trains_over_two_nodes_and_leaves_its_model(own_cluster, namespace, samples):
    own_cluster.apply(namespace, training("digits", epochs=EPOCHS, evaluateEveryEpochs=20, **on_the_gpu()))
    own_cluster.wait_for(namespace, "stj/digits", is_true("Ready"), seconds=240)
    pods = placed_pods(own_cluster, namespace)
    assert devices(own_cluster, namespace) == "GPU-fake-0"
    found = own_cluster.wait_for(namespace, "stj/digits", is_true("Complete"), seconds=240)

    assert pods == {("server", "gpu-0"), ("client", "edge-0"), ("client", "edge-1")}
    assert {each["type"]: each["status"] for each in found["status"]["conditions"]} == {
        "Accepted": "True",
        "Ready": "True",
        "Degraded": "False",
        "Complete": "True",
        "Failed": "False",
        "Suspended": "False",
        "Reconciling": "False",
        "Stalled": "False",
    }
    told = [each.reason for each in own_cluster.events(namespace, "digits", until="Complete")]
    assert told == ["Accepted", "Started", "TrainingStarted", "Complete"]
    model = found["status"]["model"]
    assert model == {"claimName": "digits-checkpoints", "path": "digits/model.safetensors"}

    back = read_back(own_cluster, namespace, model["claimName"])
    assert f"{back['accuracy']:.1%}" == found["status"]["training"]["accuracy"]
    assert back["accuracy"] > 0.8, "neither node alone has all ten digits"
    assert back["contributions"] == {client: EPOCHS * count for client, count in samples.items()}
    header, row = table(own_cluster, namespace)
    assert header == (
        "NAME PHASE CLIENTS EPOCH PROGRESS LOSS ACCURACY DEVIATION AGE SAMPLES/S ETA SERVER HEARTBEAT"
    )
    assert row.split()[-2] == "gpu-0"
    assert row.startswith(f"digits Complete 2/2 {EPOCHS}/{EPOCHS} 100% ")


def on_the_gpu() -> dict[str, Any]:
    resources = {"requests": {"cpu": "50m"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    container = {"name": "server", "resources": resources}
    return {"server": {"gpus": 1, "template": {"spec": {"containers": [container]}}}}


def placed_pods(cluster: Cluster, namespace: str) -> set[tuple[str, str]]:
    """The role and the node of each pod."""
    pods = cluster.run.json("--namespace", namespace, "get", "pods")["items"]
    return {(pod["metadata"]["labels"]["pslgs.dev/role"], pod["spec"]["nodeName"]) for pod in pods}


def devices(cluster: Cluster, namespace: str) -> str:
    """The GPUs that the device plugin gave the server."""
    words = ("exec", "job/digits-server", "--", "printenv", "NVIDIA_VISIBLE_DEVICES")
    return cluster.run("--namespace", namespace, *words).strip()


def table(cluster: Cluster, namespace: str) -> list[str]:
    """The lines of `kubectl get stj --output wide`, with single spaces."""
    printed = cluster.run("--namespace", namespace, "get", "stj", "--output=wide")
    return [" ".join(line.split()) for line in printed.splitlines()]


def read_back(cluster: Cluster, namespace: str, claim: str) -> Mapping[str, Any]:
    """Let a pod on the server's node read what the job left in its claim."""
    image = server_pod(cluster, namespace, "digits")["spec"]["containers"][0]["image"]
    script = Path(reading_back.__file__).read_text()
    mount = {"name": "run", "mountPath": str(reading_back.CLAIM), "readOnly": True}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reader"},
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/hostname": "gpu-0"},
            "volumes": [{"name": "run", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}],
            "containers": [
                {
                    "name": "reader",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", script],
                    "volumeMounts": [mount],
                }
            ],
        },
    }
    cluster.apply(namespace, pod)
    ended = {"Succeeded", "Failed"}
    cluster.wait_for(namespace, "pod/reader", lambda found: found["status"]["phase"] in ended)
    printed: Mapping[str, Any] = json.loads(cluster.logs(namespace, "pod/reader"))
    return printed


def test_a_node_is_lost_and_comes_back(own_cluster, namespace, samples):
    faults = {"minAvailableClients": 1, "clientTimeoutSeconds": 10}
    job = training("lossy", epochs=12, evaluateEveryEpochs=12, faults=faults)
    own_cluster.apply(namespace, *slowed(job, seconds_a_sample=0.01))
    own_cluster.wait_for(namespace, "stj/lossy", is_true("Ready"), seconds=240)

    own_cluster.power_off("edge-1")
    found = own_cluster.wait_for(namespace, "stj/lossy", is_true("Degraded"), seconds=30)
    said = condition(found, "Degraded")
    assert said["reason"] == "ClientLost"
    assert "edge-1" in said["message"]
    left_at = step(found)
    found = own_cluster.wait_for(namespace, "stj/lossy", lambda job: step(job) > left_at + 3, seconds=90)
    assert found["status"]["clients"]["summary"] == "1/2"
    assert found["status"]["phase"] == "Degraded"

    own_cluster.power_on("edge-1")
    own_cluster.wait_for(namespace, "stj/lossy", is_healthy, seconds=240)
    found = own_cluster.wait_for(namespace, "stj/lossy", is_true("Complete"), seconds=240)
    assert found["status"]["clients"]["summary"] == "2/2"
    told = [each.reason for each in own_cluster.events(namespace, "lossy", until="Complete")]
    assert told == [
        *("Accepted", "Started", "TrainingStarted"),
        *("ClientLost", "Degraded", "ClientReturned", "Recovered", "Complete"),
    ]


def test_a_suspended_job_frees_its_pods_and_goes_on_where_it_was(own_cluster, namespace, samples):
    own_cluster.apply(namespace, training("nap", epochs=ENDLESS))
    own_cluster.wait_for(namespace, "stj/nap", lambda job: step(job) > 100, seconds=240)

    suspend(own_cluster, namespace, suspended=True)
    own_cluster.wait_until_gone(namespace, "pods --all", seconds=30 + GRACE_SECONDS)
    found = own_cluster.wait_for(namespace, "stj/nap", is_true("Suspended"), seconds=10)
    saved = found["status"]["checkpoint"]["step"]
    assert saved >= step(found)
    assert found["status"]["phase"] == "Suspended"
    assert condition(found, "Suspended")["message"] == (
        f"set spec.suspend to false to go on with the checkpoint of step {saved}"
    )

    suspend(own_cluster, namespace, suspended=False)
    own_cluster.wait_for(namespace, "stj/nap", is_true("Ready"), seconds=240)
    assert f"resuming from the checkpoint of step {saved}" in own_cluster.logs(namespace, "job/nap-server")
    found = own_cluster.wait_for(namespace, "stj/nap", lambda job: step(job) > saved, seconds=90)
    told = [each.reason for each in own_cluster.events(namespace, "nap", until="Resumed")]
    # The second "Started" says what the first said, so it is counted there.
    assert told == ["Accepted", "Started", "TrainingStarted", "Suspended", "Resumed"]

    own_cluster.run("--namespace", namespace, "delete", "stj/nap")
    selector = "--selector=pslgs.dev/job=nap"
    own_cluster.wait_until_gone(namespace, f"{CHILDREN} {selector}", seconds=30 + GRACE_SECONDS)


def is_healthy(found: Mapping[str, Any]) -> bool:
    """Ready, and nothing to complain of."""
    return is_true("Ready")(found) and condition(found, "Degraded")["status"] == "False"


def suspend(cluster: Cluster, namespace: str, *, suspended: bool) -> None:
    patch = json.dumps({"spec": {"suspend": suspended}})
    cluster.run("--namespace", namespace, "patch", "stj/nap", "--type=merge", f"--patch={patch}")
