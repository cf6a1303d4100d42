"""NetworkPolicies of the server and the clients."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from pslgs.spec import Egress, ServiceType
from pslgs_operator import names
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

_Rule = dict[str, Any]

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"

_DNS_PORTS: Final = (53, 5353)
"""Ports of name servers; those of OpenShift listen on 5353."""

_PRIVATE_BLOCKS: Final = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
"""Addresses of name servers that are no pods: of Services, and of nodes with a cache of their own."""

_NODE_PORTS: Final = {"protocol": "TCP", "port": 30000, "endPort": 32767}
"""The range from which the API server chooses ports of nodes by default."""


def server_policy(job: TrainingJob, settings: Settings) -> dict[str, Any]:
    """Let the job's clients stream to the server; where they come from outside, everybody may try."""
    clients = {"podSelector": {"matchLabels": names.selector(job.name, names.CLIENT)}}
    streaming = {**({"from": [clients]} if _within(job) else {}), "ports": _tcp(names.GRPC_PORT)}
    ingress = [streaming, _monitoring(settings)]
    return _policy(job, names.server_name(job.name), names.SERVER, {"ingress": ingress})


def client_policy(job: TrainingJob, settings: Settings) -> dict[str, Any]:
    """Let nobody but monitoring connect to clients, and clients to nobody but name servers and the server."""
    rules = {"ingress": [_monitoring(settings)]}
    if job.spec.clients.network_policy.egress is Egress.RESTRICTED:
        rules["egress"] = [_name_servers(), *_to_server(job)]
    return _policy(job, names.clients_name(job.name), names.CLIENT, rules)


def _within(job: TrainingJob) -> bool:
    """Return whether clients reach the server by the address of its pod."""
    service = job.spec.server.service
    return service.type is ServiceType.CLUSTER_IP and service.address is None


def _name_servers() -> _Rule:
    pods: _Rule = {"namespaceSelector": {}}
    blocks = [{"ipBlock": {"cidr": each}} for each in _PRIVATE_BLOCKS]
    ports = [{"protocol": protocol, "port": port} for port in _DNS_PORTS for protocol in ("UDP", "TCP")]
    return {"to": [pods, *blocks], "ports": ports}


def _to_server(job: TrainingJob) -> list[_Rule]:
    """Admit the server's pod, and the address that clients dial where that is another.

    Networks differ in whether they judge a connection before or after its destination is translated to the
    pod's.  A NetworkPolicy cannot name a host, so that for a host name every address is admitted, on the
    port that clients dial.
    """
    pod = {"podSelector": {"matchLabels": names.selector(job.name, names.SERVER)}}
    to_pod = {"to": [pod], "ports": _tcp(names.GRPC_PORT)}
    if _within(job):
        return [to_pod]
    service = job.spec.server.service
    dialled = [_NODE_PORTS] if service.type is ServiceType.NODE_PORT else _tcp(names.GRPC_PORT)
    block = _block(service.address)
    return [to_pod, {**({"to": [{"ipBlock": {"cidr": block}}]} if block else {}), "ports": dialled}]


def _block(address: str | None) -> str | None:
    """Return the block of one IP address; None for a host name, and for an address that is not known yet."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return None
    return f"{found}/{found.max_prefixlen}"


def _monitoring(settings: Settings) -> _Rule:
    operator = _pods([settings.namespace], settings.operator_labels)
    namespaces = sorted(settings.monitoring_namespaces)
    prometheus = [_pods(namespaces, settings.monitoring_pod_labels)] if namespaces else []
    return {"from": [operator, *prometheus], "ports": _tcp(names.HTTP_PORT)}


def _pods(namespaces: Sequence[str], labels: Mapping[str, str] | None) -> dict[str, Any]:
    chosen = {"key": _NAMESPACE_LABEL, "operator": "In", "values": list(namespaces)}
    return {
        "namespaceSelector": {"matchExpressions": [chosen]},
        **({"podSelector": {"matchLabels": dict(labels)}} if labels else {}),
    }


def _policy(job: TrainingJob, name: str, role: str, rules: Mapping[str, list[_Rule]]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(job, name, role),
        "spec": {
            "podSelector": {"matchLabels": names.selector(job.name, role)},
            "policyTypes": [name.capitalize() for name in rules],
            **rules,
        },
    }


def _tcp(port: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port}]
