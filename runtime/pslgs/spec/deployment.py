"""Deployment of server and clients in a cluster: Service, nodes and pod templates."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import Count, CountOrZero, Text


class ServiceType(StrEnum):
    """Types of the server's Service."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class ServiceSpec(SpecModel):
    """The Service by which clients reach the server."""

    type: ServiceType = Field(
        default=ServiceType.CLUSTER_IP,
        description="Type of the Service. Use NodePort or LoadBalancer where edge nodes cannot reach the "
        "addresses of pods.",
    )
    annotations: Mapping[str, str] = Field(default={}, description="Annotations of the Service.")
    address: Text | None = Field(
        default=None,
        description="Host name or IP address to which clients connect; the server's certificate is issued "
        "for it. Without it, clients use the name of the Service.",
    )


class PodTemplate(SpecModel):
    """A pod template that is merged into the generated one by strategic merge."""

    metadata: Mapping[str, Any] = Field(default={}, description="Labels and annotations of the pod.")
    spec: Mapping[str, Any] = Field(default={}, description="Spec of the pod, as in a pod template.")


class ServerSpec(SpecModel):
    """The server: its GPUs, Service and pod template."""

    gpus: CountOrZero = Field(
        default=0,
        description="Number of GPUs (nvidia.com/gpu) requested for the server. With 0, it trains on the CPU.",
    )
    service: ServiceSpec = Field(
        default=ServiceSpec(), description="The Service by which clients reach the server."
    )
    template: PodTemplate = Field(
        default=PodTemplate(),
        description="Pod template merged into the server's generated one by strategic merge: resources, "
        "nodeSelector, tolerations, volumes, image. The main container is named server.",
    )


class ClientsSpec(SpecModel):
    """The clients: their nodes and pod template."""

    node_selector: Mapping[str, str] = Field(
        default={},
        description="Labels of the nodes that hold data. Clients run on every node with all of these labels, "
        "including nodes that are added later.",
    )
    per_node: Count = Field(default=1, description="Number of clients on each node.")
    template: PodTemplate = Field(
        default=PodTemplate(),
        description="Pod template merged into the clients' generated one by strategic merge: the volume with "
        "the node's data, resources, tolerations, image. The main container is named client.",
    )
