"""A pod that mounts the volume of a job for as long as its files are read."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pslgs.cluster.access import Access, ClusterError, pods_path
from pslgs.cluster.training_job import TrainingJob
from pslgs.spec.child_names import GROUP, SERVER, VERSION
from pslgs.spec.errors import InputError
from pslgs.spec.job import KIND

READER: Final = "reader"
"""Name of the container."""
LIFETIME_SECONDS: Final = 3600
"""Seconds after which the pod ends, should nobody be left to delete it."""
START_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.5
_SHARED_FIELDS: Final = ("imagePullSecrets", "nodeSelector", "tolerations", "securityContext")
"""Fields of the server's pods that decide where its volume can be mounted, and who may read it."""
_RESTRICTED: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""What Pod Security *restricted* requires of a pod."""
_USER: Final = {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}
"""The user of job pods, whose files are read; see ``jobs.podSecurityContext`` of the chart."""
_HOPELESS: Final = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
"""Reasons for which a container will not start."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A claim, and where it is mounted.

    Attributes:
        claim: Name of the PersistentVolumeClaim.
        mounted: Path at which it is mounted.
        sub_path: Folder in the volume that is mounted; None for all of it.
    """

    claim: str
    mounted: str
    sub_path: str | None = None


def reader_pod(job: TrainingJob, volume: Volume, image: str | None = None) -> dict[str, Any]:
    """Return the pod: of Pod Security *restricted*, on a node where the server's pod could be.

    Raises:
        InputError: no image is given, and the server has none.
    """
    template = job.server_template or {}
    servers = (each for each in template.get("containers", ()) if each["name"] == SERVER)
    server: Mapping[str, Any] = next(servers, {})
    if not (image or server.get("image")):
        raise InputError.at(
            "--image", f"is missing, since the server of '{job.name}' has no pod; give one that has coreutils"
        )
    shared = {name: template[name] for name in _SHARED_FIELDS if template.get(name)}
    security = {**_RESTRICTED, **(shared.pop("securityContext", None) or _USER)}
    metadata = job.document["metadata"]
    mount = {"name": "run", "mountPath": volume.mounted, "readOnly": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{job.name}-{READER}-",
            "labels": {"app.kubernetes.io/name": "pslgs", "app.kubernetes.io/component": READER},
            "ownerReferences": [
                {
                    "apiVersion": f"{GROUP}/{VERSION}",
                    "kind": KIND,
                    "name": job.name,
                    "uid": metadata["uid"],
                    "controller": False,
                }
            ],
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFETIME_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            **shared,
            "securityContext": security,
            "containers": [
                {
                    "name": READER,
                    "image": image or server["image"],
                    **({"imagePullPolicy": server["imagePullPolicy"]} if "imagePullPolicy" in server else {}),
                    "command": ["sleep", str(LIFETIME_SECONDS)],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "32Mi"},
                        "limits": {"cpu": "500m", "memory": "256Mi"},
                    },
                    "volumeMounts": [mount | ({"subPath": volume.sub_path} if volume.sub_path else {})],
                }
            ],
            "volumes": [{"name": "run", "persistentVolumeClaim": {"claimName": volume.claim}}],
        },
    }


@contextmanager
def reading(
    access: Access,
    job: TrainingJob,
    volume: Volume,
    image: str | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Callable[[Sequence[str]], bytes]]:
    """Create the pod, wait until it runs, give what runs commands in it, and delete it.

    Args:
        access: The cluster.
        job: The job.
        volume: The volume to mount.
        image: Image of the pod; None for that of the server.
        pause: Waits for so many seconds.

    Raises:
        InputError: there is no image.
        ClusterError: the cluster refuses, or the pod does not start.
    """
    pods = pods_path(access.namespace)
    name = access.create(pods, reader_pod(job, volume, image))["metadata"]["name"]
    try:
        _wait_until_it_runs(access, name, pause)
        yield lambda command: access.run(name, READER, command)
    finally:
        access.delete(f"{pods}/{name}")


def _wait_until_it_runs(access: Access, name: str, pause: Callable[[float], None]) -> None:
    waited = 0.0
    while True:
        status = access.read(pods_path(access.namespace, name)).get("status", {})
        if status.get("phase") == "Running":
            return
        reason, hopeless = _why_not(status)
        if hopeless or waited >= START_SECONDS:
            waiting = "" if hopeless else f" after {waited:.0f} s"
            raise ClusterError.at(
                "", f"the pod {name}, which reads the volume, has not started{waiting}: {reason}"
            )
        pause(_POLL_SECONDS)
        waited += _POLL_SECONDS


def _why_not(status: Mapping[str, Any]) -> tuple[str, bool]:
    """Return why a pod does not run yet, and whether it never will."""
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("message"):
            return f"{waiting.get('reason')}: {waiting['message']}", waiting.get("reason") in _HOPELESS
    for condition in status.get("conditions", ()):
        if condition.get("status") == "False" and condition.get("message"):
            return f"{condition.get('reason')}: {condition['message']}", False
    return f"its phase is {status.get('phase', 'unknown')}", status.get("phase") in {"Failed", "Succeeded"}
