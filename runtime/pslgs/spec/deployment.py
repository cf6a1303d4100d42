"""Deployment settings: server and client pods, transport, and storage of checkpoints."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.labels import Annotations, Labels, key_violations, reserved_key_violations
from pslgs.spec.scalars import (
    HOST,
    PATTERN_WORDS,
    Count,
    CountOrZero,
    Flag,
    Host,
    ObjectName,
    Quantity,
    ResourceName,
)


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
    annotations: Annotations = Field(
        default={},
        description="Annotations of the Service, in addition to those of childMetadata. Keys under "
        "pslgs.dev/ are reserved.",
    )
    address: Host | None = Field(
        default=None,
        description="Host name or IP address to which clients connect; the server's certificate is issued "
        "for it. Without it, clients use the name of the Service.",
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse an address of digits and colons that is none, and annotations that cannot be set."""
        if self.address is not None and ":" in self.address and not _is_ip_address(self.address):
            yield Violation("address", f"is '{self.address}', {PATTERN_WORDS[HOST]}")
        yield from reserved_key_violations("annotations", self.annotations)
        yield from key_violations("annotations", self.annotations)


def _is_ip_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class ObjectMetadata(SpecModel):
    """Labels and annotations to add to objects of the job."""

    labels: Labels = Field(
        default={}, description="Labels to add. Keys under pslgs.dev/ are reserved for the operator."
    )
    annotations: Annotations = Field(
        default={}, description="Annotations to add. Keys under pslgs.dev/ are reserved for the operator."
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse keys that cannot be set."""
        for name, given in (("labels", self.labels), ("annotations", self.annotations)):
            yield from reserved_key_violations(name, given)
            yield from key_violations(name, given)


class PodTemplate(SpecModel):
    """A pod template that is merged into the generated one by strategic merge."""

    metadata: ObjectMetadata = Field(
        default=ObjectMetadata(),
        description="Labels and annotations of the pod; they take precedence over generated ones and over "
        "those of childMetadata.",
    )
    spec: Mapping[str, Any] = Field(default={}, description="Spec of the pod, as in a pod template.")


MAX_GPUS = 16
"""GPUs of the largest nodes; a server does not reach beyond its node."""
KUBERNETES_RESOURCES = "kubernetes.io/"
"""Part of the names that Kubernetes keeps for its own resources; they are not extended resources."""
QUOTA_PREFIX = "requests."
"""Start of the names under which quotas count extended resources; no resource may be named so."""


class ServerSpec(SpecModel):
    """The server: its GPUs, Service and pod template."""

    gpus: CountOrZero = Field(
        default=0,
        description="Number of GPUs of one node that are requested for the server. With more than 1, each "
        "computes the server part for a part of every global batch, in a process of its own. With 0, the "
        "server trains on the CPU, unless its template requests an extended resource or a resource claim.",
    )
    gpu_resource: ResourceName = Field(
        default="nvidia.com/gpu",
        description="Name of the extended resource that is requested for a GPU, as the nodes' device plugin "
        "registers it.",
        examples=["amd.com/gpu", "nvidia.com/mig-1g.5gb"],
    )
    service: ServiceSpec = Field(
        default=ServiceSpec(), description="The Service by which clients reach the server."
    )
    template: PodTemplate = Field(
        default=PodTemplate(),
        description="Pod template merged into the server's generated one by strategic merge: resources, "
        "nodeSelector, tolerations, volumes, image. The main container is named server.",
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse more GPUs than a node has, and names that are not those of extended resources."""
        if self.gpus > MAX_GPUS:
            yield Violation(
                "gpus", f"is {self.gpus}, but a server uses GPUs of one node; give at most {MAX_GPUS}"
            )
        if KUBERNETES_RESOURCES in self.gpu_resource or self.gpu_resource.startswith(QUOTA_PREFIX):
            yield Violation(
                "gpuResource",
                f"is '{self.gpu_resource}', which is no extended resource; give the name that the nodes' "
                "device plugin registers, such as nvidia.com/gpu",
            )


class Egress(StrEnum):
    """Connections that client pods may open."""

    RESTRICTED = "Restricted"
    OPEN = "Open"


class ClientsNetworkPolicy(SpecModel):
    """The NetworkPolicy of the client pods."""

    egress: Egress = Field(
        default=Egress.RESTRICTED,
        description="Connections that client pods may open. Restricted: to name servers and to the job's "
        "server, so that data cannot leave the node otherwise. Open: to any address.",
    )


class ClientsSpec(SpecModel):
    """The clients: their nodes and pod template."""

    node_selector: Labels = Field(
        default={},
        description="Labels of the nodes that hold data. Clients run on every node with all of these labels, "
        "including nodes that are added later.",
    )
    per_node: Count = Field(default=1, description="Number of clients on each node.")
    network_policy: ClientsNetworkPolicy = Field(
        default=ClientsNetworkPolicy(),
        description="NetworkPolicy of the client pods. It takes effect if the cluster's network enforces "
        "NetworkPolicies.",
    )
    template: PodTemplate = Field(
        default=PodTemplate(),
        description="Pod template merged into the clients' generated one by strategic merge: the volume with "
        "the node's data, resources, tolerations, image. The main container is named client.",
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse labels that no node can have."""
        yield from key_violations("nodeSelector", self.node_selector)


class StorageSpec(SpecModel):
    """The volume that holds the checkpoints in a cluster: a new or an existing PersistentVolumeClaim."""

    size: Quantity | None = Field(
        default=None,
        description="Size of the PersistentVolumeClaim to create, as a Kubernetes quantity.",
        examples=["10Gi"],
    )
    storage_class_name: ObjectName | None = Field(
        default=None,
        description="Storage class of the PersistentVolumeClaim to create. Without it, the cluster's default "
        "class is used.",
    )
    claim_name: ObjectName | None = Field(
        default=None,
        description="Name of an existing PersistentVolumeClaim to use. Without it, a new one of the given "
        "size is created.",
    )

    def rules(self) -> Iterator[Violation]:
        """Require either a size (new claim) or a claim name (existing claim), not both."""
        if self.claim_name is None and self.size is None:
            yield Violation(
                "size", "is missing; give the size of the new claim, or the claimName of an existing one"
            )
        if self.claim_name is not None:
            for name, value in (("size", self.size), ("storageClassName", self.storage_class_name)):
                if value is not None:
                    yield Violation(
                        name, "applies to a new claim, but claimName names an existing one; remove either"
                    )


class CheckpointSpec(SpecModel):
    """How often checkpoints are written, how many are kept, and where."""

    every_steps: Count = Field(default=500, description="Number of steps between two checkpoints.")
    keep: Count = Field(
        default=2, description="Number of checkpoints to keep; when a newer one is written, the oldest goes."
    )
    best: Flag = Field(
        default=True,
        description="Whether the model of the best evaluation by spec.metric is kept, as best.safetensors "
        "beside the final model.safetensors. keep does not apply to it.",
    )
    start_afresh: Flag = Field(
        default=False,
        description="Whether to begin a new training if the volume holds checkpoints of an earlier job of "
        "this name; they are moved to the subfolder 'replaced', whose previous content is deleted. Restarts "
        "of this job's own server always resume. By default, the training of the earlier job is resumed.",
    )
    storage: StorageSpec | None = Field(
        default=None,
        description="Volume for the checkpoints and the model in a cluster. Without it, they are lost when "
        "the server's pod is deleted.",
    )


class Compression(StrEnum):
    """Number formats in which smashed data and cut gradients are transferred."""

    NONE = "None"
    FLOAT16 = "Float16"
    BFLOAT16 = "BFloat16"
    INT8 = "Int8"


class Tls(StrEnum):
    """TLS modes."""

    MUTUAL = "Mutual"
    DISABLED = "Disabled"


class TransportSpec(SpecModel):
    """Compression and encryption of the traffic between clients and server."""

    compression: Compression = Field(
        default=Compression.NONE,
        description="Number format in which smashed data and cut gradients are transferred. None: as they "
        "are computed. The other formats lose precision and so change the result. Parameters are never "
        "compressed.",
    )
    tls: Tls = Field(
        default=Tls.MUTUAL,
        description="TLS between clients and server. Mutual: the traffic is encrypted, and both sides "
        "authenticate by certificates. Disabled: neither encryption nor authentication.",
    )
