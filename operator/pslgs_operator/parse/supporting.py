"""Read supporting objects: Services, ConfigMaps, claims, NetworkPolicies, PodMonitors."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pslgs_operator import names
from pslgs_operator.fields import mapping, mappings, text, whole


@dataclass(frozen=True, slots=True)
class SupportingObject:
    """A supporting object, without its status and without the bookkeeping of the API server.

    Attributes:
        content: What is compared with the rendered object.
        digest: Of the content.
        address: What a load balancer was given.
        node_port: The gRPC port on the nodes.
        deleting: Whether it is being deleted.
    """

    kind: str
    content: Mapping[str, Any]
    digest: str
    address: str | None = None
    node_port: int | None = None
    deleting: bool = False


def supporting_reader(kind: str) -> Callable[[Mapping[str, Any]], SupportingObject]:
    """Return what reads objects of that kind."""

    def read(body: Mapping[str, Any]) -> SupportingObject:
        content = _content(body)
        deleting = bool(body["metadata"].get("deletionTimestamp"))
        return SupportingObject(kind, content, _digest(content), _address(body), _node_port(body), deleting)

    return read


def _content(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = mapping(body, "metadata")
    kept = {name: metadata.get(name) for name in ("labels", "annotations", "ownerReferences")}
    return {"metadata": kept, **{name: body[name] for name in ("spec", "data") if name in body}}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _address(body: Mapping[str, Any]) -> str | None:
    points = mappings(mapping(body, "status", "loadBalancer"), "ingress")
    return next((text(point, "hostname") or text(point, "ip") or None for point in points), None)


def _node_port(body: Mapping[str, Any]) -> int | None:
    ports = mappings(mapping(body, "spec"), "ports")
    return next((whole(port, "nodePort") for port in ports if whole(port, "port") == names.GRPC_PORT), None)
