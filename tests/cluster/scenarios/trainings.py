"""Trainings for scenarios: digits on the nodes' own disks, for as long as a scenario needs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cluster.testcluster.stage import Cluster, is_true

ENDLESS = 1_000_000
"""Epochs of a training that ends with its namespace."""

_START_SECONDS = 240

AT_GPU_0 = {"nodeSelector": {"kubernetes.io/hostname": "gpu-0"}}

_CONTAINER = {"resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "1", "memory": "1Gi"}}}


def training(
    name: str,
    *,
    epochs: int = ENDLESS,
    batch: int = 64,
    checkpoint_every: int = 50,
    storage: Mapping[str, Any] | None = None,
    selector: Mapping[str, str] | None = None,
    faults: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A job whose clients read /srv/digits of their nodes; its steps are the same wherever it runs."""
    mount = {"name": "digits", "mountPath": "/data", "readOnly": True}
    disk = {"name": "digits", "hostPath": {"path": "/srv/digits", "type": "Directory"}}
    client = {"name": "client", "volumeMounts": [mount], **_CONTAINER}
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": name},
        "spec": {
            "model": {
                "architecture": "mlp",
                "options": {"inputs": 64, "hidden": [64, 32], "outputs": 10},
                "cutLayer": "hidden1",
            },
            "data": {
                "train": {"format": "NumPy", "path": "/data/digits.npz"},
                "evaluation": {"format": "ScikitLearn", "name": "digits", "split": "Test"},
            },
            "epochs": epochs,
            "evaluateEveryEpochs": 50,
            "sampling": {"globalBatchSize": batch},
            "checkpoint": {"everySteps": checkpoint_every, "storage": storage or {"size": "100Mi"}},
            "faultTolerance": {"clientTimeoutSeconds": 60, **(faults or {})},
            "server": {"template": {"spec": {**AT_GPU_0, "containers": [{"name": "server", **_CONTAINER}]}}},
            "clients": {
                "nodeSelector": selector or {"pslgs.dev/edge": "true"},
                "template": {"spec": {"volumes": [disk], "containers": [client]}},
            },
            **spec,
        },
    }


def start(cluster: Cluster, namespace: str, *jobs: dict[str, Any]) -> None:
    """Apply jobs and wait until they train, however busy the machine is that has all nodes."""
    cluster.apply(namespace, *jobs)
    for job in jobs:
        cluster.wait_for(namespace, f"stj/{job['metadata']['name']}", is_true("Ready"), _START_SECONDS)


def give_digits(cluster: Cluster, node: str, classes: range) -> int:
    """Put the training digits of some classes on a node's disk, and return how many these are."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - collecting tests does not need it

    digits = load_digits()
    chosen = (np.arange(len(digits.target)) % 5 != 0) & np.isin(digits.target, classes)
    folder = cluster.srv(node) / "digits"
    folder.mkdir(exist_ok=True)
    samples = (digits.data[chosen] / 16).astype(np.float32)
    np.savez(folder / "digits.npz", x=samples, y=digits.target[chosen])
    return len(samples)


def server_pod(cluster: Cluster, namespace: str, job: str) -> Mapping[str, Any]:
    """The newest pod of the job's server."""
    selector = f"pslgs.dev/job={job},pslgs.dev/role=server"
    pods = cluster.run.json("--namespace", namespace, "get", "pods", f"--selector={selector}")["items"]
    return max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])


def uids(cluster: Cluster, namespace: str, kinds: str, job: str) -> dict[str, str]:
    """The children of some kinds, such as ``jobs,pods``: name -> uid."""
    selector = f"--selector=pslgs.dev/job={job}"
    items = cluster.run.json("--namespace", namespace, "get", kinds, selector)["items"]
    return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["uid"] for item in items}


def model(cluster: Cluster, namespace: str, job: str) -> bytes:
    """The file of the finished model."""
    place = cluster.run.json("--namespace", namespace, "get", f"stj/{job}")["status"]["model"]
    return (volume(cluster, namespace, place["claimName"]) / place["path"]).read_bytes()


def volume(cluster: Cluster, namespace: str, claim: str) -> Path:
    """The folder of a claim's volume, which is one of the host."""
    found = cluster.wait_for(namespace, f"pvc/{claim}", lambda pvc: pvc["status"]["phase"] == "Bound")
    bound = cluster.run.json("get", "pv", found["spec"]["volumeName"])
    return Path(bound["spec"]["hostPath"]["path"])


def server_status(cluster: Cluster, namespace: str, job: str) -> Mapping[str, Any]:
    """What the server says of itself."""
    found: Mapping[str, Any] = json.loads(_ask_server(cluster, namespace, job, "status"))
    return found


def server_metric(cluster: Cluster, namespace: str, job: str, series: str) -> float:
    """The value of a series of the server, such as ``pslgs_clients{state="live"}``; 0 if there is none."""
    lines = _ask_server(cluster, namespace, job, "metrics").splitlines()
    values = (line.rpartition(" ")[2] for line in lines if line.rpartition(" ")[0] == series)
    return float(next(values, 0))


def step(found: Mapping[str, Any]) -> int:
    """The last step that the job's status tells of."""
    taken: int = found.get("status", {}).get("training", {}).get("step", 0)
    return taken


def _ask_server(cluster: Cluster, namespace: str, job: str, page: str) -> str:
    pod = server_pod(cluster, namespace, job)["metadata"]["name"]
    return cluster.run("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/{page}")
