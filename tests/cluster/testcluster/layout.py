"""Where things lie on disk, and which ports and addresses they have: all of it follows from one number."""

import os
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("PSLGS_CLUSTER_CACHE", Path.home() / ".cache" / "pslgs-cluster"))
BIN = CACHE / "bin"

MAX_INSTANCES = 16
MAX_NODES = 16
PAUSE_IMAGE = "localhost/pause:latest"

_FIRST_PORT = 20600  # below the range from which Linux takes ports for outgoing connections
_PORTS = ("api-server", "etcd", "etcd-peer", "dns")


@dataclass(frozen=True, slots=True)
class Family:
    """The addresses of clusters that speak one version of the Internet Protocol only.

    Attributes:
        name: As Kubernetes writes it.
        everywhere: The address of all interfaces, and the network of all addresses with ``/0``.
        service_range: Of Services; in the nodes' own network namespaces, so that all instances share it.
        api_service: The address of the Service of the API server.
        dns_service: The address of the cluster's DNS.
        bridge: Pattern of addresses on an instance's bridge.
        bridge_prefix: Length of the prefix that they share.
        pods: Pattern of the range of a node's pods.
        forwarding: The kernel's setting that makes a router of a network namespace.
    """

    name: str
    everywhere: str
    service_range: str
    api_service: str
    dns_service: str
    bridge: str
    bridge_prefix: int
    pods: str
    forwarding: str

    def host(self, address: str) -> str:
        """Write an address as the host of a URL."""
        return f"[{address}]" if ":" in address else address


IPV4 = Family(
    "IPv4",
    everywhere="0.0.0.0",  # noqa: S104 - nodes come over the bridge, the host's own programs by loopback
    service_range="10.96.0.0/16",
    api_service="10.96.0.1",
    dns_service="10.96.0.10",
    bridge="10.89.{instance}.{machine}",
    bridge_prefix=24,
    pods="10.88.{node}.0/24",
    forwarding="net.ipv4.ip_forward",
)
IPV6 = Family(
    "IPv6",
    everywhere="::",
    service_range="fd96::/112",
    api_service="fd96::1",
    dns_service="fd96::a",
    bridge="fd89:{instance}::{machine}",
    bridge_prefix=64,
    pods="fd88:{node}::/64",
    forwarding="net.ipv6.conf.all.forwarding",
)


@dataclass(frozen=True, slots=True)
class Instance:
    """One of the clusters that can run at the same time on this machine."""

    number: int
    family: Family = IPV4

    @property
    def state(self) -> Path:
        """Everything that lasts no longer than the cluster."""
        return CACHE / "instances" / str(self.number)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "kubeconfig"

    @property
    def logs(self) -> Path:
        """What the processes wrote."""
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        """One line of JSON for each request that the API server answered."""
        return self.state / "audit.log"

    def port(self, purpose: str) -> int:
        """A port on the host."""
        return _FIRST_PORT + len(_PORTS) * self.number + _PORTS.index(purpose)

    @property
    def host_ip(self) -> str:
        """The host's address on the bridge."""
        return self.family.bridge.format(instance=self.number, machine=1)

    @property
    def bridge(self) -> str:
        """The name of the bridge that connects the nodes."""
        return f"pslgs{self.number}"

    @property
    def control_group(self) -> str:
        """The control group that holds the pods of all nodes."""
        return f"pslgs-{self.number}"


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a cluster."""

    instance: Instance
    name: str
    index: int
    gpus: int = 0
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def ip(self) -> str:
        """The node's address on the bridge."""
        return self.instance.family.bridge.format(instance=self.instance.number, machine=10 + self.index)

    @property
    def pod_range(self) -> str:
        """The addresses of the node's pods."""
        return self.instance.family.pods.format(node=MAX_NODES * self.instance.number + self.index)

    @property
    def netns(self) -> str:
        """The name of the node's network namespace."""
        return f"{self.instance.bridge}-{self.name}"

    @property
    def link(self) -> str:
        """The host's end of the node's cable (an interface name has at most 15 characters)."""
        return f"{self.instance.bridge}-n{self.index}"

    @property
    def root(self) -> Path:
        """What is on the node's own disk."""
        return self.instance.state / "nodes" / self.name

    @property
    def broken_gpu(self) -> Path:
        """While this file exists, the node's GPUs are unhealthy."""
        return self.root / "gpu-broken"

    def disk(self, path: str) -> Path:
        """Where the node's ``path`` lies on the host."""
        return self.root / path.lstrip("/").replace("/", "-")
