"""Objects as the API shows them."""

from typing import Any

from pslgs_operator import names


def an_object(
    kind: str = "Job",
    name: str = "cifar-server",
    *,
    job: str | None = "cifar",
    uid: str = "uid-1",
    version: str = "1",
    owner: str | None = "job-uid",
    namespace: str | None = "default",
    **more: Any,
) -> dict[str, Any]:
    """Make one that belongs to the SplitTrainingJob ``job``."""
    metadata: dict[str, Any] = {"name": name, "uid": uid, "resourceVersion": version}
    if namespace is not None:
        metadata["namespace"] = namespace
    if job is not None:
        metadata["labels"] = names.labels(job)
    if owner is not None:
        metadata["ownerReferences"] = [{"kind": "Any", "uid": "another"}, {"uid": owner, "controller": True}]
    return {"kind": kind, "metadata": metadata, **more}


def a_node(name: str, *, version: str = "1", ready: bool = True, **labels: str) -> dict[str, Any]:
    """Make a node; underscores in label names stand for what Python can't write."""
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    node = an_object("Node", name, job=None, owner=None, namespace=None, version=version, status=status)
    node["metadata"]["uid"] = f"uid-of-{name}"
    node["metadata"]["labels"] = labels
    return node


def a_training_job(
    name: str = "cifar", *, version: str = "1", generation: int = 1, phase: str = "", **selector: str
) -> dict[str, Any]:
    """Make a SplitTrainingJob as far as the stores look at it."""
    spec = {"clients": {"nodeSelector": selector}}
    job = an_object("SplitTrainingJob", name, job=None, owner=None, uid="job-uid", version=version, spec=spec)
    job["metadata"]["generation"] = generation
    return job | ({"status": {"phase": phase}} if phase else {})
