"""Read supporting objects: Services, ConfigMaps, claims, NetworkPolicies, PodMonitors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pslgs_operator import names


@dataclass(frozen=True, slots=True)
class SupportingObject:
    """One of them.

    Attributes:
        digest: Of the spec that it was made from.
        address: What a load balancer was given.
        node_port: The gRPC port on the nodes.
    """

    kind: str
    digest: str
    address: str | None = None
    node_port: int | None = None


def supporting_reader(kind: str) -> Callable[[Mapping[str, Any]], SupportingObject]:
    """Return what reads objects of that kind."""

    def read(body: Mapping[str, Any]) -> SupportingObject:
        annotations = body["metadata"].get("annotations") or {}
        return SupportingObject(
            kind, annotations.get(names.SPEC_ANNOTATION, ""), _address(body), _node_port(body)
        )

    return read


def _address(body: Mapping[str, Any]) -> str | None:
    balancer = (body.get("status") or {}).get("loadBalancer") or {}
    points = balancer.get("ingress") or ()
    return next((point.get("hostname") or point.get("ip") for point in points), None)


def _node_port(body: Mapping[str, Any]) -> int | None:
    ports = (body.get("spec") or {}).get("ports") or ()
    return next((port.get("nodePort") for port in ports if port.get("port") == names.GRPC_PORT), None)
