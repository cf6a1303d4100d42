"""Objects as Kubernetes 1.34 shows them, cut down to what matters here and what surrounds it."""

from typing import Any

CREATED = "2026-01-02T03:00:00Z"


def node(name: str = "edge-0", ready: str = "True", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"pslgs.dev/edge": "true", "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": "10.88.1.0/24", **spec},
        "status": {
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
                {"type": "Ready", "status": ready, "reason": "KubeletReady"},
            ]
        },
    }


def child_job(status: dict[str, Any], role: str = "client", **metadata: Any) -> dict[str, Any]:
    client = {
        "pslgs.dev/client-id": "edge-0-0",
        "pslgs.dev/node": "edge-0",
        "pslgs.dev/share": "3",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "digits-client-edge-0-0" if role == "client" else "digits-server",
            "namespace": "lab",
            "uid": "uid-of-it",
            "creationTimestamp": CREATED,
            "labels": {"pslgs.dev/job": "digits", "pslgs.dev/role": role},
            "annotations": {
                "pslgs.dev/spec-digest": "0123456789abcdef",
                **(client if role == "client" else {}),
            },
            **metadata,
        },
        "spec": {"parallelism": 1},
        "status": status,
    }


def pod(status: dict[str, Any], role: str = "server", **metadata: Any) -> dict[str, Any]:
    job = "digits-server" if role == "server" else "digits-client-edge-0-0"
    annotations = {"pslgs.dev/client-id": "edge-0-0"} if role == "client" else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{job}-x7k2p",
            "namespace": "lab",
            "creationTimestamp": CREATED,
            "labels": {
                "pslgs.dev/job": "digits",
                "pslgs.dev/role": role,
                "batch.kubernetes.io/job-name": job,
                "job-name": job,
                "batch.kubernetes.io/controller-uid": "1",
            },
            "annotations": annotations,
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job, "controller": True}],
            **metadata,
        },
        "spec": {"nodeName": "gpu-0", "containers": [{"name": role}]},
        "status": status,
    }


def running(name: str = "server", **fields: Any) -> dict[str, Any]:
    state = {"running": {"startedAt": "2026-01-02T03:00:07Z"}}
    return {"name": name, "state": state, "lastState": {}, "ready": True, "restartCount": 0, **fields}


def waiting(reason: str, message: str | None = None, name: str = "server", **fields: Any) -> dict[str, Any]:
    state = {"reason": reason} | ({"message": message} if message is not None else {})
    return {"name": name, "state": {"waiting": state}, "lastState": {}, "ready": False, **fields}


def terminated(code: int, reason: str, message: str = "", name: str = "server") -> dict[str, Any]:
    state = {
        "exitCode": code,
        "reason": reason,
        "startedAt": "2026-01-02T03:00:07Z",
        "finishedAt": "2026-01-02T03:10:00Z",
        "containerID": "containerd://f00",
    }
    return {"name": name, "state": {"terminated": state | ({"message": message} if message else {})}}


def unscheduled(message: str, reason: str = "Unschedulable") -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return {"phase": "Pending", "conditions": [condition], "qosClass": "Guaranteed"}
