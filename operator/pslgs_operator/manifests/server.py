"""The server's Job."""

from collections.abc import Mapping
from typing import Any

from pslgs.spec import ExitCode
from pslgs_operator import names
from pslgs_operator.manifests.job import child_job, on_exit_codes, own_queue, template_digest
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.manifests.pod import Part, pod_template, probe
from pslgs_operator.manifests.resources import requests_device, server_resources
from pslgs_operator.overlay import with_user_template
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

FOR_GOOD = frozenset(
    {
        ExitCode.BAD_INPUT,
        ExitCode.QUORUM_LOST,
        ExitCode.CLIENT_LOST,
        ExitCode.DEADLINE_EXCEEDED,
        ExitCode.DIVERGED,
        ExitCode.NON_FINITE,
        ExitCode.HOSTILE_CLIENT,
    }
)
"""Exit codes after which another attempt would end alike."""

_GRACE_SECONDS = 60  # for a checkpoint on a slow volume
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where the kernel keeps it
# GPUs may exchange tensors by it, and a container has 64 MiB otherwise.  What is used counts as its memory.
_SHARED_MEMORY_VOLUME = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
_PREFERENCE = 100
"""Weight of nodes that hold no data, the highest that the scheduler knows."""


def server_job(job: TrainingJob, clients: int, settings: Settings) -> dict[str, Any]:
    """Return the Job of a server that waits for ``clients`` clients before its first step."""
    template = pod_template(job, _part(job, clients, settings), settings)
    template["spec"]["affinity"] = {"nodeAffinity": _off_edge_nodes(job.spec.clients.node_selector)}
    return child_job(
        child_metadata(job, names.server_name(job.name), names.SERVER),
        own_queue(job, settings),
        job.spec.backoff_limit,
        [
            on_exit_codes(names.SERVER, "FailJob", FOR_GOOD),
            # A server that was asked to stop has written its checkpoint; that costs none of the retries.
            on_exit_codes(names.SERVER, "Ignore", [ExitCode.INTERRUPTED]),
        ],
        with_user_template(template, job.spec.server.template),
    )


def server_digest(job: TrainingJob, settings: Settings) -> str:
    """Return a digest of the server's Job, whatever the number of clients is that it waits for."""
    return template_digest(server_job(job, 0, settings))


def _off_edge_nodes(selector: Mapping[str, str]) -> dict[str, Any]:
    """Prefer nodes that lack one of the labels by which the nodes of clients are selected."""
    lacking = (
        {"matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]}
        for key, value in sorted(selector.items())
    )
    return {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": _PREFERENCE, "preference": each} for each in lacking
        ]
    }


def _part(job: TrainingJob, clients: int, settings: Settings) -> Part:
    return Part(
        role=names.SERVER,
        arguments=(
            f"--run={names.run_folder(job.name)}",
            f"--clients={clients}",
            f"--listen=[::]:{names.GRPC_PORT}",
            *(() if requests_device(job) else ("--device=cpu",)),
        ),
        variables={names.CLIENT_SERIES_VARIABLE: str(settings.client_series)},
        identity=names.server_identity_name(job.name) if job.mutual_tls else None,
        annotations={},
        default_annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        grace_seconds=_GRACE_SECONDS,
        resources=server_resources(job, settings),
        container={
            "ports": [
                {"name": "grpc", "containerPort": names.GRPC_PORT, "protocol": "TCP"},
                {"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            ],
            "readinessProbe": probe("/readyz", periodSeconds=5, failureThreshold=3),
        },
        volumes={
            names.RUNS_FOLDER: {"name": "run", **_state_volume(job.claim_name)},
            **({_SHARED_MEMORY: _SHARED_MEMORY_VOLUME} if job.spec.server.gpus > 1 else {}),
        },
    )


def _state_volume(claim: str | None) -> dict[str, Any]:
    return {"persistentVolumeClaim": {"claimName": claim}} if claim else {"emptyDir": {}}
