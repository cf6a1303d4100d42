"""Hints at the field of the job to change, for messages of Kubernetes about a pod."""

import re
from typing import Final

from pslgs_operator.names import CLIENT, SERVER

_PLACING: Final = (
    (
        r"Insufficient (?P<resource>[^\s,]+/[^\s,]*[^\s,.])",
        SERVER,
        "lower spec.server.gpus, correct spec.server.gpuResource, or free or add a node with {resource}",
    ),
    (r"Insufficient memory", None, "lower {container}.resources.requests.memory, or free memory"),
    (r"Insufficient cpu", None, "lower {container}.resources.requests.cpu, or free CPUs"),
    (r"Insufficient ", None, "lower {container}.resources, or free what is lacking"),
    (
        r"(?i)persistentvolumeclaim|persistent volume|volume",
        SERVER,
        "look at spec.checkpoint.storage and the volumes of {template}.spec: kubectl describe pvc",
    ),
    (r"(?i)persistentvolumeclaim|persistent volume|volume", CLIENT, "look at the volumes of {template}.spec"),
    (r"untolerated taint", None, "tolerate the taint in {template}.spec.tolerations, or remove it"),
    (r"were unschedulable", None, "end the node's maintenance: kubectl uncordon NODE"),
    (r"node affinity|node selector", None, "look at {template}.spec.nodeSelector and spec.affinity"),
)
"""In the scheduler's words, for which role (None for both), and what to do; the first that fits."""

_WAITING: Final = {
    "ImagePullBackOff": "check {container}.image, the registry and {template}.spec.imagePullSecrets",
    "InvalidImageName": "correct {container}.image",
    "ErrImageNeverPull": "load the image on the node, or set {container}.imagePullPolicy: IfNotPresent",
    "FailedMount": "make what is missing, or correct {template}.spec.volumes",
    "FailedMapVolume": "make what is missing, or correct {template}.spec.volumes",
    "FailedAttachVolume": "free the volume, or correct {template}.spec.volumes",
    "CreateContainerConfigError": "make what is missing, or change {container}",
    "CreateContainerError": "correct {container}",
    "RunContainerError": "correct {container}",
}

_REFUSED: Final = {
    r"violates PodSecurity.*hostPath": (
        "folders of the node need a namespace that allows them: kubectl label --overwrite namespace "
        "{namespace} pod-security.kubernetes.io/enforce=privileged"
    ),
    r"violates PodSecurity": "correct securityContext and volumes in spec.server.template and "
    "spec.clients.template",
    r"exceeded quota": "raise the quota, or lower resources in spec.server.template or spec.clients.template",
}
"""Messages of admission, and what to do."""


def on_placing(message: str, role: str) -> str:
    """Advise about a pod that the scheduler finds no node for; empty where nothing is known to help."""
    for pattern, of, text in _PLACING:
        found = re.search(pattern, message)
        if found and of in {None, role}:
            return _filled(text, role, **found.groupdict())
    return ""


def on_waiting(reason: str, role: str) -> str:
    """Advise about a container that waits."""
    return _filled(_WAITING.get(reason, ""), role)


def on_memory(role: str) -> str:
    """Advise about a container that ran out of memory."""
    return _filled("raise {container}.resources.limits.memory", role)


def on_sidecar(role: str) -> str:
    """Advise about a container that goes on after the one of the pod's role."""
    return _filled("make it a sidecar in {template}.spec.initContainers with restartPolicy: Always", role)


def on_refusal(message: str, namespace: str) -> str:
    """Advise about what admission does not let in."""
    fitting = (text for pattern, text in _REFUSED.items() if re.search(pattern, message))
    return next(fitting, "").format(namespace=namespace)


def _filled(advice: str, role: str, **values: str) -> str:
    template = f"spec.{role if role == SERVER else 'clients'}.template"
    return advice.format(template=template, container=f"{template}.spec.containers[name={role}]", **values)
