"""A bridge on the host, and a network namespace with a cable to it for each node."""

from collections.abc import Iterable, Sequence

from cluster.testcluster.layout import IPV6, Instance, Node
from cluster.testcluster.process import run

_MAC = "02:89:00:00:{:02x}:01"


def make_bridge(instance: Instance) -> None:
    """Make the switch that all nodes of an instance hang on."""
    # With an address of its own a bridge does not take that of a node that joins, which cuts the others off.
    run("ip", "link", "add", instance.bridge, "address", _MAC.format(instance.number), "type", "bridge")
    run("ip", "address", "add", *_on_bridge(instance, instance.host_ip), "dev", instance.bridge)
    run("ip", "link", "set", instance.bridge, "up")
    run("sysctl", "-qw", f"{instance.family.forwarding}=1")


def connect(node: Node, others: Iterable[Node]) -> None:
    """Connect a node; its pods, those of the others and the host reach each other."""
    run("ip", "netns", "add", node.netns)
    run("ip", "link", "add", node.link, "type", "veth", "peer", "name", "eth0", "netns", node.netns)
    run("ip", "link", "set", node.link, "master", node.instance.bridge, "up")
    _inside(node, "ip", "link", "set", "lo", "up")
    _inside(node, "ip", "address", "add", *_on_bridge(node.instance, node.ip), "dev", "eth0")
    _inside(node, "ip", "link", "set", "eth0", "up")
    _inside(node, "ip", "route", "add", "default", "via", node.instance.host_ip)
    _inside(node, "sysctl", "-qw", f"{node.instance.family.forwarding}=1")
    run("ip", "route", "add", node.pod_range, "via", node.ip)
    for other in others:
        _inside(other, "ip", "route", "add", node.pod_range, "via", node.ip)
        _inside(node, "ip", "route", "add", other.pod_range, "via", other.ip)


def unplug(instance: Instance, nodes: Sequence[Node]) -> None:
    """Remove what ``make_bridge`` and ``connect`` made, as far as they came."""
    for node in nodes:
        run("ip", "link", "delete", node.link, check=False)
        run("ip", "netns", "delete", node.netns, check=False)
    if nodes:
        run("ip", "link", "delete", instance.bridge, check=False)


def set_cable(node: Node, *, connected: bool) -> None:
    """Pull the node's network cable, or plug it in again."""
    run("ip", "link", "set", node.link, "up" if connected else "down")


def _on_bridge(instance: Instance, address: str) -> list[str]:
    """An address with its prefix; it is used at once, instead of a second after nobody else claimed it."""
    family = instance.family
    return [f"{address}/{family.bridge_prefix}", *(["nodad"] if family == IPV6 else [])]


def _inside(node: Node, *command: str) -> None:
    run("nsenter", f"--net=/run/netns/{node.netns}", *command)
