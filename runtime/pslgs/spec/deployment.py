"""Where server and clients run in a cluster; runs on one machine ignore it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import Count, CountOrZero, Text


class ServiceType(StrEnum):
    """How the server is reached."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class ServiceSpec(SpecModel):
    """How clients reach the server."""

    type: ServiceType = Field(
        default=ServiceType.CLUSTER_IP,
        description="NodePort or LoadBalancer where edge nodes cannot reach the addresses of pods.",
    )
    annotations: Mapping[str, str] = Field(default={}, description="Annotations of the Service.")
    address: Text | None = Field(
        default=None,
        description="Name or IP that clients dial, put into the server's certificate; without it, the "
        "Service's name.",
    )


class PodTemplate(SpecModel):
    """A pod template that is laid over the generated one by strategic merge."""

    metadata: Mapping[str, Any] = Field(default={}, description="Labels and annotations of the pod.")
    spec: Mapping[str, Any] = Field(default={}, description="Spec of the pod.")


class ServerSpec(SpecModel):
    """The server's pod."""

    gpus: CountOrZero = Field(
        default=0, description="GPUs of the server (nvidia.com/gpu); 0 trains on its CPU."
    )
    service: ServiceSpec = Field(default=ServiceSpec(), description="How clients reach the server.")
    template: PodTemplate = Field(
        default=PodTemplate(),
        description="Pod template laid over the generated one by strategic merge: resources, nodeSelector, "
        "tolerations, volumes, image. The main container is named server.",
    )


class ClientsSpec(SpecModel):
    """The clients' pods."""

    node_selector: Mapping[str, str] = Field(
        default={},
        description="Labels of the nodes that hold data; each that matches gets clients, also when it "
        "appears later.",
    )
    per_node: Count = Field(default=1, description="Clients on each node.")
    template: PodTemplate = Field(
        default=PodTemplate(),
        description="Pod template laid over the generated one by strategic merge: the volume with the node's "
        "data, resources, tolerations, image. The main container is named client.",
    )
