"""A running cluster as scenarios see it: apply, wait, look, and take machines away."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.testcluster import access, artefacts, baseimage, handover, lifecycle, machine, network, roster
from cluster.testcluster.layout import BIN, IPV4, Family, Node
from cluster.testcluster.process import ClusterError, wait_until

_POLL_SECONDS = 0.5
_EVENT_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Event:
    """What `kubectl describe` tells of an object."""

    type: str  # Normal or Warning
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Cluster(access.ApiServer):
    """A cluster with nodes.  What takes machines away raises ClusterError on an existing cluster."""

    def apply(self, namespace: str, *manifests: Path | dict[str, Any]) -> None:
        """Apply files and objects."""
        for manifest in manifests:
            content = manifest.read_text() if isinstance(manifest, Path) else json.dumps(manifest)
            self.run("--namespace", namespace, "apply", "--filename=-", stdin=content)

    def wait_for(
        self, namespace: str, target: str, holds: Callable[[Any], object], seconds: float = 60
    ) -> Any:
        """Poll an object such as ``job/digits-server`` until it is as wished, and return it.

        Raises:
            ClusterError: it is not after ``seconds``; the text has its status.
        """
        deadline = time.monotonic() + seconds
        while True:
            text = self.run("--namespace", namespace, "get", target, "--output=json", check=False)
            found = json.loads(text) if text else None
            if found is not None and holds(found):
                return found
            if time.monotonic() > deadline:
                status = json.dumps(found.get("status", {}), indent=1) if found else "it does not exist"
                raise ClusterError(f"waited {seconds:.0f} s for {target} in {namespace}: {status}")
            time.sleep(_POLL_SECONDS)

    def wait_until_gone(self, namespace: str, *targets: str, seconds: float = 60) -> None:
        """Wait until objects are deleted, e.g. ``job/digits-server`` or ``pods --all``.

        Raises:
            ClusterError: one is still there after ``seconds``.
        """
        words = ("wait", "--for=delete", f"--timeout={seconds}s")
        self.run("--namespace", namespace, *words, *" ".join(targets).split())

    def events(self, namespace: str, name: str, *, until: str) -> list[Event]:
        """The events of the object of that name, oldest first, once there is one of the reason ``until``.

        The operator writes them after the status that they follow from.

        Raises:
            ClusterError: there is none of that reason after a while.
        """
        found: list[Event] = []

        def come() -> bool:
            found[:] = self._events(namespace, name)
            return any(each.reason == until for each in found)

        wait_until(come, f"an Event {until} of {name}", _EVENT_SECONDS)
        return found

    def _events(self, namespace: str, name: str) -> list[Event]:
        selector = f"--field-selector=involvedObject.name={name}"
        items = self.run.json("--namespace", namespace, "get", "events", selector)["items"]
        items.sort(key=lambda item: item["eventTime"] or item["firstTimestamp"])
        return [Event(item["type"], item["reason"], item["message"]) for item in items]

    def logs(self, namespace: str, target: str) -> str:
        """What a pod or a Job's pod has written."""
        return self.run("--namespace", namespace, "logs", target)

    def srv(self, node: str) -> Path:
        """The node's own folder /srv, as this process sees it."""
        return self.node(node).disk("/srv")

    def node(self, name: str) -> Node:
        """A machine."""
        return roster.find(self.own(), name)

    def add_node(self, text: str) -> None:
        """Let a node join: ``NAME[:gpus=N][,LABEL=VALUE…]``; return when it is Ready."""
        lifecycle.add_nodes(self.own(), roster.parse(self.own(), [text]))

    def remove_node(self, node: str) -> None:
        """Take a node out of the cluster, as one that will not come back; there need be none of the name."""
        if node in {known.name for known in roster.nodes(self.own())}:
            self.power_off(node)
        self.run("delete", "node", node, "--ignore-not-found")

    def power_off(self, node: str) -> None:
        """End a node's processes and containers at once."""
        machine.power_off(self.node(node))

    def power_on(self, node: str) -> None:
        """Give a node its power back."""
        machine.power_on(self.node(node))

    def kill(self, namespace: str, pod: str) -> None:
        """End the processes of a pod's only container at once, as when one of them crashes."""
        found = self.run.json("--namespace", namespace, "get", f"pod/{pod}")
        [container] = found["status"]["containerStatuses"]
        machine.kill(self.node(found["spec"]["nodeName"]), container["containerID"].rpartition("/")[2])

    def cut(self, node: str) -> None:
        """Pull a node's network cable."""
        network.set_cable(self.node(node), connected=False)

    def heal(self, node: str) -> None:
        """Plug it in again."""
        network.set_cable(self.node(node), connected=True)

    def collect(self, folder: Path) -> None:
        """Write down everything that tells what happened."""
        if self.instance is not None:
            artefacts.collect(self.instance, folder)
        else:
            artefacts.ask(self.run, folder)


def condition(found: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """An object's condition, empty where it has none of that type."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def is_true(kind: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a condition's status is True."""
    return lambda found: condition(found, kind).get("status") == "True"


@contextmanager
def cluster(nodes: tuple[str, ...] = roster.DEFAULT, family: Family = IPV4) -> Iterator[Cluster]:
    """Start a cluster of our own, in which Python's image is at hand, and end it afterwards.

    Raises:
        UnavailableError: this is not root, or what the cluster is made of is not built.
        ClusterError: it did not start.
    """
    if os.geteuid() != 0:
        raise access.UnavailableError("nodes need namespaces, mounts and control groups: run this as root")
    with access.own_instance(family) as instance:
        handover.hand_over(baseimage.make())
        lifecycle.up(instance, roster.parse(instance, nodes))
        yield Cluster(instance.kubeconfig, BIN / "kubectl", instance)
