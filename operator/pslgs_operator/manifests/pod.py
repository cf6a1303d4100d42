"""What the pods of both roles have in common: Pod Security *restricted*, the job and the identity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE
from pslgs.spec.definition import DEFINING_FIELDS
from pslgs_operator import names
from pslgs_operator.manifests.metadata import child_labels
from pslgs_operator.manifests.podmonitor import scrape_annotations
from pslgs_operator.manifests.resources import CPU_LIMIT
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

_READABLE_BY_GROUP = 0o440
_READABLE_BY_ALL = 0o444


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How the pods of a role differ.

    Attributes:
        arguments: Of the command, beside those that both roles have.
        identity: Name of the Secret with the certificate; None without TLS.
        variables: Environment variables of the container, beside those that both roles have.
        annotations: Annotations that the operator reads; users cannot change them.
        default_annotations: Annotations that users may change.
        resources: Requests and limits of the container.
        container: Fields of the container, beside those that both roles have.
        volumes: Where each further volume is mounted -> the volume.
    """

    role: str
    arguments: Sequence[str]
    variables: Mapping[str, str]
    identity: str | None
    annotations: Mapping[str, str]
    default_annotations: Mapping[str, str]
    grace_seconds: int
    resources: Mapping[str, Any]
    container: Mapping[str, Any]
    volumes: Mapping[str, dict[str, Any]]


def pod_template(job: TrainingJob, part: Part, settings: Settings) -> dict[str, Any]:
    """Return the pod template of a role, before the user's is laid over it."""
    return {
        "metadata": {
            "labels": child_labels(job, part.role),
            "annotations": {
                **scrape_annotations(part.role, settings),
                **part.default_annotations,
                **job.spec.child_metadata.annotations,
                **part.annotations,
            },
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": part.grace_seconds,
            "securityContext": dict(settings.pod_security_context),
            "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
            "containers": [_container(job, part, settings)],
            "volumes": [
                {"name": "job", "projected": _projected(job, part.identity, settings)},
                {"name": "scratch", "emptyDir": {}},
                *part.volumes.values(),
            ],
        },
    }


def _container(job: TrainingJob, part: Part, settings: Settings) -> dict[str, Any]:
    return {
        "name": part.role,
        "image": settings.server_image if part.role == names.SERVER else settings.client_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["pslgs", part.role],
        "args": _arguments(part),
        "env": [
            {"name": CPU_LIMIT, "valueFrom": {"resourceFieldRef": _cpu_limit(part.role)}},
            {"name": names.JOB_UID_VARIABLE, "value": job.uid},
            {"name": names.REQUIRED_FIELDS_VARIABLE, "value": " ".join(DEFINING_FIELDS)},
            *({"name": name, "value": value} for name, value in part.variables.items()),
        ],
        # Importing torch from a slow disk and converting a dataset come before the first answer.
        "startupProbe": probe("/healthz", periodSeconds=5, failureThreshold=60),
        "livenessProbe": probe("/healthz", periodSeconds=10, failureThreshold=6),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": names.TERMINATION_MESSAGE,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "job", "mountPath": names.MANIFEST_FOLDER, "readOnly": True},
            {"name": "scratch", "mountPath": names.SCRATCH_FOLDER},
            *({"name": volume["name"], "mountPath": path} for path, volume in part.volumes.items()),
        ],
        **({"resources": dict(part.resources)} if part.resources else {}),
        **part.container,
    }


def _arguments(part: Part) -> list[str]:
    return [
        f"{names.MANIFEST_FOLDER}/{names.MANIFEST_KEY}",
        *part.arguments,
        f"--http=[::]:{names.HTTP_PORT}",
        *([f"--identity={names.IDENTITY_FOLDER}"] if part.identity else []),
        f"--termination-message={names.TERMINATION_MESSAGE}",
        f"--threads=$({CPU_LIMIT})",
    ]


def _cpu_limit(container: str) -> dict[str, str]:
    return {"containerName": container, "resource": "limits.cpu", "divisor": "1"}


def probe(path: str, **numbers: int) -> dict[str, Any]:
    """Ask the container's HTTP port; ``numbers`` are the probe's other fields."""
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 5, **numbers}


def _projected(job: TrainingJob, identity: str | None, settings: Settings) -> dict[str, Any]:
    """Show the job, and the identity in a folder beside it, in one volume.

    Without an fsGroup, the files belong to root and a group that the container may not have.
    """
    mode = _READABLE_BY_GROUP if "fsGroup" in settings.pod_security_context else _READABLE_BY_ALL
    folder = names.IDENTITY_FOLDER.removeprefix(f"{names.MANIFEST_FOLDER}/")
    files = (CERTIFICATE_FILE, PRIVATE_KEY_FILE, AUTHORITY_FILE)
    secret = {"name": identity, "items": [{"key": name, "path": f"{folder}/{name}"} for name in files]}
    return {
        "defaultMode": mode,
        "sources": [
            {"configMap": {"name": names.manifest_name(job.name)}},
            *([{"secret": secret}] if identity else []),
        ],
    }
