"""The Workload by which Kueue admits a job as a whole, and what its admission adds to pods."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.endpoint import Endpoint
from pslgs_operator.gvk import POD_PRIORITIES, WORKLOAD_PRIORITIES, WORKLOADS, Resource
from pslgs_operator.manifests.client import client_template
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.manifests.server import server_job
from pslgs_operator.overlay import strategic_merge
from pslgs_operator.placement import Placement
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import Snapshot
from pslgs_operator.training_job import TrainingJob
from pslgs_operator.workload import PodSetUpdate

_POD_FIELDS: Final = (
    *("nodeSelector", "affinity", "tolerations", "priorityClassName", "schedulerName"),
    *("runtimeClassName", "overhead", "resourceClaims", "restartPolicy"),
)
_CONTAINER_FIELDS: Final = ("name", "image", "resources", "restartPolicy")
"""What quota and the choice of nodes depend on; commands and volumes differ between clients."""

Template = dict[str, Any]


def workload(job: TrainingJob, clients: int, settings: Settings, priority: int | None) -> dict[str, Any]:
    """Return the Workload of a job with this number of clients; ``priority`` is that of its class."""
    metadata = child_metadata(job, names.workload_name(job.name))
    metadata["labels"][names.WORKLOAD_JOB_LABEL] = job.uid
    metadata["annotations"][names.DEMAND_ANNOTATION] = demand_digest(job, settings)
    server, client = _templates(job, settings)
    return {
        "apiVersion": f"{WORKLOADS.group}/{WORKLOADS.version}",
        "kind": WORKLOADS.kind,
        "metadata": metadata,
        "spec": {
            "queueName": job.queue_labels[names.QUEUE_LABEL],
            "podSets": [
                {"name": names.SERVER_PODS, "count": 1, "template": server},
                {"name": names.CLIENT_PODS, "count": clients, "template": client},
            ],
            **_priority(job, priority),
        },
    }


def demand_digest(job: TrainingJob, settings: Settings) -> str:
    """Return a digest of what the Workload asks for, without the number of clients.

    An image is left out: quota does not depend on it, and a new version of the operator has another one.
    """
    wanted = [_without_images(each) for each in _templates(job, settings)]
    document = json.dumps([job.queue_labels[names.QUEUE_LABEL], wanted], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()[:16]


def priority_class(job: TrainingJob) -> tuple[Resource, str] | None:
    """Return the job's priority class: that of its label, or else of its pods; None if it names none."""
    if labelled := job.queue_labels.get(names.PRIORITY_LABEL):
        return WORKLOAD_PRIORITIES, labelled
    for template in (job.spec.server.template, job.spec.clients.template):
        if isinstance(named := template.spec.get("priorityClassName"), str):
            return POD_PRIORITIES, named
    return None


def assigned(template: Template, snapshot: Snapshot, pod_set: str) -> Template:
    """Add to a pod template what the admission assigned to its set: labels of nodes, and tolerations."""
    found = snapshot.workload
    if found is None:
        return template
    assignment = found.assignments.get(pod_set)
    for name in assignment.flavors if assignment else ():
        flavor = snapshot.queue.flavors[name]
        update = PodSetUpdate(node_selector=flavor.node_labels, tolerations=flavor.tolerations)
        template = _updated(template, update)
    for update in found.updates.get(pod_set, ()):
        template = _updated(template, update)
    return template


def _updated(template: Template, update: PodSetUpdate) -> Template:
    """Add an update; labels and annotations that are there stay, for the operator finds pods by them."""
    metadata = template.get("metadata", {})
    kept = {part: metadata.get(part, {}) for part in ("labels", "annotations")}
    added = {"labels": dict(update.labels), "annotations": dict(update.annotations)}
    spec: dict[str, Any] = {}
    if update.node_selector:
        spec["nodeSelector"] = dict(update.node_selector)
    if update.tolerations:
        spec["tolerations"] = [dict(each) for each in update.tolerations]
    return {
        **template,
        "metadata": {**metadata, **{part: {**added[part], **kept[part]} for part in kept}},
        "spec": strategic_merge(template["spec"], spec),
    }


def _templates(job: TrainingJob, settings: Settings) -> tuple[Template, Template]:
    """Return what Kueue has to know of the pods of server and clients."""
    server = server_job(job, 0, settings)["spec"]["template"]
    somewhere = Endpoint(names.server_name(job.name), names.GRPC_PORT)
    client = client_template(job, Placement("", "", None), somewhere, settings)
    selector = {**client["spec"].get("nodeSelector", {}), **job.spec.clients.node_selector}
    return _reduced(server), _reduced({**client, "spec": {**client["spec"], "nodeSelector": selector}})


def _reduced(template: Template) -> Template:
    spec = template["spec"]
    containers = {
        part: [_picked(each, _CONTAINER_FIELDS) for each in spec[part]]
        for part in ("initContainers", "containers")
        if part in spec
    }
    return {"spec": {**_picked(spec, _POD_FIELDS), **containers}}


def _picked(document: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: document[name] for name in fields if name in document}


def _without_images(template: Template) -> list[Any]:
    spec = template["spec"]
    parts = [spec.get(part, []) for part in ("initContainers", "containers")]
    return [_picked(spec, _POD_FIELDS), *([{**each, "image": ""} for each in part] for part in parts)]


def _priority(job: TrainingJob, value: int | None) -> dict[str, Any]:
    found = priority_class(job)
    if found is None or value is None:
        return {}
    resource, name = found
    return {
        "priorityClassRef": {"group": resource.group, "kind": resource.kind, "name": name},
        "priority": value,
    }
