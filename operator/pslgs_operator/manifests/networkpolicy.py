"""NetworkPolicies of the server and the clients."""

from collections.abc import Sequence
from typing import Any

from pslgs.spec import ServiceType
from pslgs_operator import names
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def server_policy(job: TrainingJob, settings: Settings) -> dict[str, Any]:
    """Let the job's clients stream to the server; where they come from outside, everybody may try."""
    service = job.spec.server.service
    within = service.type is ServiceType.CLUSTER_IP and service.address is None
    clients = {"podSelector": {"matchLabels": names.selector(job.name, names.CLIENT)}}
    streaming = {**({"from": [clients]} if within else {}), "ports": _tcp(names.GRPC_PORT)}
    return _policy(job, names.server_name(job.name), names.SERVER, [streaming, _monitoring(settings)])


def client_policy(job: TrainingJob, settings: Settings) -> dict[str, Any]:
    """Let nobody but monitoring connect to clients."""
    return _policy(job, names.clients_name(job.name), names.CLIENT, [_monitoring(settings)])


def _monitoring(settings: Settings) -> dict[str, Any]:
    namespaces = sorted({settings.namespace, *settings.monitoring_namespaces})
    chosen = {"key": _NAMESPACE_LABEL, "operator": "In", "values": namespaces}
    return {
        "from": [{"namespaceSelector": {"matchExpressions": [chosen]}}],
        "ports": _tcp(names.HTTP_PORT),
    }


def _policy(job: TrainingJob, name: str, role: str, ingress: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(job, name, role),
        "spec": {
            "podSelector": {"matchLabels": names.selector(job.name, role)},
            "policyTypes": ["Ingress"],
            "ingress": list(ingress),
        },
    }


def _tcp(port: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port}]
