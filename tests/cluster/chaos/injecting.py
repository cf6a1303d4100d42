"""Lets faults happen to a cluster and to the job that trains in it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from cluster.chaos.faults import COMPONENTS, Kind
from cluster.testcluster import lifecycle, machine
from cluster.testcluster.helm import NAMESPACE
from cluster.testcluster.installing import DEPLOYMENT
from cluster.testcluster.process import ClusterError
from cluster.testcluster.stage import Cluster
from process_chaos.faults import Fault

OPERATOR = "app.kubernetes.io/name=pslgs-operator"
_ROLLOUT_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job trains."""

    cluster: Cluster
    namespace: str
    job: str

    def kubectl(self, *words: str) -> str:
        """Run kubectl in the job's namespace."""
        return self.cluster.run("--namespace", self.namespace, *words)

    def running(self, selector: str, namespace: str | None = None) -> list[Mapping[str, Any]]:
        """The pods whose only container runs, ordered by name."""
        words = ("--namespace", namespace or self.namespace, "get", "pods", f"--selector={selector}")
        pods = self.cluster.run.json(*words)["items"]
        return [
            pod
            for pod in sorted(pods, key=lambda pod: pod["metadata"]["name"])
            if "deletionTimestamp" not in pod["metadata"]
            and any("running" in each["state"] for each in pod["status"].get("containerStatuses", ()))
            and machine.is_on(self.cluster.node(pod["spec"]["nodeName"]))
        ]

    def of_role(self, role: str) -> list[Mapping[str, Any]]:
        """The running pods of the job's ``server``, or those of its clients (``client``)."""
        return self.running(f"pslgs.dev/job={self.job},pslgs.dev/role={role}")


def inject(place: Place, fault: Fault) -> bool:
    """Let a fault happen and pass; return whether it could, because everything that it needs is there."""
    if fault.kind in _LASTING:
        with _LASTING[fault.kind](place, fault):
            time.sleep(fault.seconds)
        return True
    return _MOMENTARY[fault.kind](place, fault)


def _crash(role: str) -> Callable[[Place, Fault], bool]:
    def do(place: Place, fault: Fault) -> bool:
        if not (pods := place.of_role(role)):
            return False
        place.cluster.kill(place.namespace, _one(pods, fault)["metadata"]["name"])
        return True

    return do


def _crash_operator(place: Place, fault: Fault) -> bool:
    if not (pods := place.running(OPERATOR, NAMESPACE)):
        return False
    place.cluster.kill(NAMESPACE, _one(pods, fault)["metadata"]["name"])
    return True


def _delete(kind: str, role: str, suffix: str = "", *words: str) -> Callable[[Place, Fault], bool]:
    """Delete an object of the job that belongs to one of the running pods of a role."""

    def do(place: Place, fault: Fault) -> bool:
        if not (pods := place.of_role(role)):
            return False
        pod = _one(pods, fault)["metadata"]
        name = pod["name"] if kind == "pod" else pod["labels"]["batch.kubernetes.io/job-name"] + suffix
        place.kubectl("delete", f"{kind}/{name}", "--wait=false", *words)
        return True

    return do


def _edge(place: Place, fault: Fault) -> str:
    nodes = place.cluster.run.json("get", "nodes", "--selector=pslgs.dev/edge=true")["items"]
    name: str = _one(nodes, fault)["metadata"]["name"]
    return name


def _server_node(_: Place, __: Fault) -> str:
    return "gpu-0"


def _without_power(node: Callable[[Place, Fault], str]) -> Callable[[Place, Fault], Any]:
    @contextmanager
    def lasting(place: Place, fault: Fault) -> Iterator[None]:
        name = node(place, fault)
        place.cluster.power_off(name)
        try:
            yield
        finally:
            place.cluster.power_on(name)

    return lasting


def _unplugged(node: Callable[[Place, Fault], str]) -> Callable[[Place, Fault], Any]:
    @contextmanager
    def lasting(place: Place, fault: Fault) -> Iterator[None]:
        name = node(place, fault)
        place.cluster.cut(name)
        try:
            yield
        finally:
            place.cluster.heal(name)

    return lasting


@contextmanager
def _without_operator(place: Place, _: Fault) -> Iterator[None]:
    scale = ("--namespace", NAMESPACE, "scale", DEPLOYMENT)
    place.cluster.run(*scale, "--replicas=0")
    try:
        yield
    finally:
        place.cluster.run(*scale, "--replicas=1")


@contextmanager
def _suspended(place: Place, _: Fault) -> Iterator[None]:
    patch = ("patch", f"stj/{place.job}", "--type=merge", "--patch")
    place.kubectl(*patch, '{"spec": {"suspend": true}}')
    try:
        yield
    finally:
        place.kubectl(*patch, '{"spec": {"suspend": false}}')


def _without_component(place: Place, fault: Fault) -> AbstractContextManager[None]:
    return lifecycle.without(place.cluster.own(), COMPONENTS[fault.kind])


def _one(victims: Sequence[Mapping[str, Any]], fault: Fault) -> Mapping[str, Any]:
    if not victims:
        raise ClusterError(f"there is nothing to which it can happen that {fault.kind}")
    return victims[fault.victim % len(victims)]


_LASTING: Mapping[Kind, Callable[[Place, Fault], AbstractContextManager[None]]] = {
    Kind.EDGE_WITHOUT_POWER: _without_power(_edge),
    Kind.EDGE_UNPLUGGED: _unplugged(_edge),
    Kind.SERVER_NODE_WITHOUT_POWER: _without_power(_server_node),
    Kind.SERVER_NODE_UNPLUGGED: _unplugged(_server_node),
    Kind.OPERATOR_AWAY: _without_operator,
    Kind.SUSPENDED: _suspended,
    **dict.fromkeys(COMPONENTS, _without_component),
}
_MOMENTARY: Mapping[Kind, Callable[[Place, Fault], bool]] = {
    Kind.CLIENT_CRASHED: _crash("client"),
    Kind.CLIENT_POD_DELETED: _delete("pod", "client"),
    Kind.CLIENT_JOB_DELETED: _delete("job", "client"),
    Kind.CERTIFICATE_DELETED: _delete("secret", "client", "-tls"),
    Kind.SERVER_CRASHED: _crash("server"),
    Kind.SERVER_POD_DELETED: _delete("pod", "server", "", "--force", "--grace-period=0"),
    Kind.SERVICE_DELETED: _delete("service", "server"),
    Kind.OPERATOR_CRASHED: _crash_operator,
}
