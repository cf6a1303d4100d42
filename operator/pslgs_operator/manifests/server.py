"""The server's Job."""

from datetime import datetime
from typing import Any

from pslgs.spec import ExitCode
from pslgs_operator import names
from pslgs_operator.manifests.job import child_job, on_exit_codes
from pslgs_operator.manifests.metadata import child_metadata, expiry_annotation
from pslgs_operator.manifests.pod import Part, pod_template, probe
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
    }
)
"""Exit codes after which another attempt would end alike."""

_GRACE_SECONDS = 60  # for a checkpoint on a slow volume
_GPU = "nvidia.com/gpu"


def server_job(
    job: TrainingJob, clients: int, expires: datetime | None, settings: Settings
) -> dict[str, Any]:
    """Return the Job of a server that waits for ``clients`` clients before its first step.

    ``expires`` is the end of its certificate, None without TLS.
    """
    return child_job(
        child_metadata(job, names.server_name(job.name), names.SERVER, expiry_annotation(expires)),
        job.spec.backoff_limit,
        [
            on_exit_codes(names.SERVER, "FailJob", FOR_GOOD),
            # A server that was told to stop has written its checkpoint; that costs none of the retries.
            on_exit_codes(names.SERVER, "Ignore", [ExitCode.INTERRUPTED]),
        ],
        with_user_template(
            pod_template(job, _part(job, clients, settings.client_series), settings), job.spec.server.template
        ),
    )


def _part(job: TrainingJob, clients: int, client_series: int) -> Part:
    gpus = job.spec.server.gpus
    return Part(
        role=names.SERVER,
        arguments=(
            f"--run={names.run_folder(job.name)}",
            f"--clients={clients}",
            f"--listen=[::]:{names.GRPC_PORT}",
            f"--client-series={client_series}",
            *(() if gpus else ("--device=cpu",)),
        ),
        identity=names.server_identity_name(job.name) if job.mutual_tls else None,
        annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        grace_seconds=_GRACE_SECONDS,
        container={
            "ports": [
                {"name": "grpc", "containerPort": names.GRPC_PORT, "protocol": "TCP"},
                {"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            ],
            "readinessProbe": probe("/readyz", periodSeconds=5, failureThreshold=3),
            **({"resources": {"limits": {_GPU: gpus}}} if gpus else {}),
        },
        volumes={names.RUNS_FOLDER: {"name": "run", **_state_volume(job.claim_name)}},
    )


def _state_volume(claim: str | None) -> dict[str, Any]:
    return {"persistentVolumeClaim": {"claimName": claim}} if claim else {"emptyDir": {}}
