"""A client's Job."""

from typing import Any, Final

from pslgs.spec import ExitCode
from pslgs.spec.scalars import INT32_MAX
from pslgs_operator import names
from pslgs_operator.endpoint import Endpoint
from pslgs_operator.manifests.job import child_job, on_exit_codes, own_queue, template_digest
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.manifests.pod import Part, pod_template
from pslgs_operator.manifests.resources import client_resources, clients_per_cores
from pslgs_operator.overlay import pinned, with_user_template
from pslgs_operator.placement import Placement
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

FOR_GOOD = frozenset({ExitCode.BAD_INPUT, ExitCode.REFUSED, ExitCode.DROPPED})
"""Exit codes after which another attempt would end alike."""

_GRACE_SECONDS = 30
_PATIENCE_SECONDS = 3600
"""How long a client tries to connect to its server, which may wait for a GPU."""

_STAYS: Final = [
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute"}
    for taint in ("not-ready", "unreachable")
]
"""Without limit of time: a client whose node comes back is there, and nobody else may take its place."""


def client_job(
    job: TrainingJob, placement: Placement, server: Endpoint, settings: Settings
) -> dict[str, Any]:
    """Return the Job of the client at ``placement``."""
    annotations = {names.CLIENT_ANNOTATION: placement.client, names.NODE_ANNOTATION: placement.node}
    if placement.share is not None:
        annotations[names.SHARE_ANNOTATION] = str(placement.share)
    return child_job(
        child_metadata(
            job,
            names.client_name(job.name, placement.client),
            names.CLIENT,
            annotations,
        ),
        own_queue(job, settings),
        INT32_MAX,
        [on_exit_codes(names.CLIENT, "FailJob", FOR_GOOD)],
        pinned(client_template(job, placement, server, settings), placement.node),
    )


def client_template(
    job: TrainingJob, placement: Placement, server: Endpoint, settings: Settings
) -> dict[str, Any]:
    """Return the pod template of the client at ``placement``, which is not bound to its node yet."""
    template = pod_template(job, _part(job, placement, server, settings), settings)
    template["spec"]["tolerations"] = list(_STAYS)
    return with_user_template(template, job.spec.clients.template)


def client_digest(job: TrainingJob, server: Endpoint, settings: Settings) -> str:
    """Return a digest of the clients' Jobs, without what differs between them."""
    return template_digest(client_job(job, Placement("", "", None), server, settings))


def _part(job: TrainingJob, placement: Placement, server: Endpoint, settings: Settings) -> Part:
    sharing = clients_per_cores(job, settings)
    share = () if placement.share is None else (f"--share={placement.share}",)
    return Part(
        role=names.CLIENT,
        arguments=(
            f"--id={placement.client}",
            f"--server={server}",
            f"--patience={_PATIENCE_SECONDS}",
            "--stay",
            *share,
        ),
        variables={names.CLIENTS_PER_NODE_VARIABLE: str(sharing)} if sharing > 1 else {},
        identity=names.client_identity_name(job.name, placement.client) if job.mutual_tls else None,
        annotations={names.CLIENT_ANNOTATION: placement.client},
        default_annotations={},
        grace_seconds=_GRACE_SECONDS,
        resources=client_resources(job, settings),
        container={"ports": [{"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"}]},
        volumes={},
    )
