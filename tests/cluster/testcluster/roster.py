"""The nodes of a cluster, written down in its state folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from cluster.testcluster.layout import MAX_NODES, Instance, Node
from cluster.testcluster.process import ClusterError

DEFAULT = ("gpu-0:gpus=1", "edge-0:pslgs.dev/edge=true", "edge-1:pslgs.dev/edge=true")


def parse(instance: Instance, texts: Sequence[str]) -> list[Node]:
    """Read nodes written as ``NAME[:gpus=N][,LABEL=VALUE…]``, to come after those that exist.

    Raises:
        ClusterError: a text is not of that form.
    """
    taken = len(nodes(instance))
    return [_parse(instance, taken + place, text) for place, text in enumerate(texts)]


def nodes(instance: Instance) -> list[Node]:
    """The nodes, in the order in which they were added."""
    file = instance.state / "nodes.json"
    written = json.loads(file.read_text()) if file.exists() else []
    return [Node(instance, each["name"], each["index"], each["gpus"], each["labels"]) for each in written]


def add(node: Node) -> None:
    """Write down one more.

    Raises:
        ClusterError: its name is taken, or there are too many.
    """
    known = nodes(node.instance)
    if node.name in {other.name for other in known}:
        raise ClusterError(f"there is a node {node.name} already")
    if len(known) >= MAX_NODES:
        raise ClusterError(f"a cluster has at most {MAX_NODES} nodes")
    written = [{k: v for k, v in asdict(each).items() if k != "instance"} for each in [*known, node]]
    (node.instance.state / "nodes.json").write_text(json.dumps(written))


def find(instance: Instance, name: str) -> Node:
    """The node called ``name``.

    Raises:
        ClusterError: there is none.
    """
    known = nodes(instance)
    for node in known:
        if node.name == name:
            return node
    raise ClusterError(f"no node {name!r}; there are: {', '.join(node.name for node in known)}")


def _parse(instance: Instance, index: int, text: str) -> Node:
    name, _, rest = text.partition(":")
    try:
        settings = dict(item.split("=", 1) for item in rest.split(",") if item)
        return Node(instance, name, index, int(settings.pop("gpus", 0)), settings)
    except ValueError:
        raise ClusterError(f"{text!r} is not NAME[:gpus=N][,LABEL=VALUE…]") from None
