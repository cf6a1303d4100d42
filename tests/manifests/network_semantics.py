"""Who may connect to whom, by the rules of NetworkPolicies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod in a network that enforces policies."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Host(NamedTuple):
    """An address that belongs to no pod."""

    address: str


class Port(NamedTuple):
    """A port and its protocol."""

    number: int
    protocol: str = "TCP"


Peer = Pod | Host


def may_connect(policies: Iterable[Mapping[str, Any]], source: Peer, target: Peer, port: Port) -> bool:
    """Tell whether the policies of both sides admit a connection."""
    every = list(policies)
    return _admits(every, "Egress", source, target, port) and _admits(every, "Ingress", target, source, port)


def _admits(policies: list[Mapping[str, Any]], way: str, judged: Peer, peer: Peer, port: Port) -> bool:
    """Tell whether a side admits a peer: it does if no policy selects the pod, or if one admits it."""
    if isinstance(judged, Host):
        return True
    applying = [
        each
        for each in policies
        if each["metadata"]["namespace"] == judged.namespace
        and way in each["spec"]["policyTypes"]
        and _selects(each["spec"]["podSelector"], judged.labels)
    ]
    peers = "to" if way == "Egress" else "from"
    rules = [
        (each["metadata"]["namespace"], rule)
        for each in applying
        for rule in each["spec"].get(way.lower(), ())
    ]
    return not applying or any(
        _has_port(rule.get("ports"), port) and _has_peer(rule.get(peers), namespace, peer)
        for namespace, rule in rules
    )


def _has_port(ports: list[Mapping[str, Any]] | None, port: Port) -> bool:
    return not ports or any(
        each["protocol"] == port.protocol and each["port"] <= port.number <= each.get("endPort", each["port"])
        for each in ports
    )


def _has_peer(peers: list[Mapping[str, Any]] | None, namespace: str, peer: Peer) -> bool:
    return not peers or any(_is_peer(each, namespace, peer) for each in peers)


def _is_peer(wanted: Mapping[str, Any], namespace: str, peer: Peer) -> bool:
    if isinstance(peer, Host):
        address = ip_address(peer.address)
        return "ipBlock" in wanted and address in ip_network(wanted["ipBlock"]["cidr"])
    if "ipBlock" in wanted:
        return False
    of_namespace = {"kubernetes.io/metadata.name": peer.namespace}
    in_namespace = (
        _selects(wanted["namespaceSelector"], of_namespace)
        if "namespaceSelector" in wanted
        else peer.namespace == namespace
    )
    return in_namespace and _selects(wanted.get("podSelector", {}), peer.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    by_label = selector.get("matchLabels", {}).items() <= labels.items()
    expressions = selector.get("matchExpressions", ())
    if any(each["operator"] != "In" for each in expressions):
        raise NotImplementedError("only the operator In is evaluated")
    return by_label and all(labels.get(each["key"]) in each["values"] for each in expressions)
