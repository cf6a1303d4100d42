"""Starting and ending a whole cluster, or only its API server."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from cluster.testcluster import controlplane, images, machine, network, roster, volumes
from cluster.testcluster.layout import Instance, Node
from cluster.testcluster.process import ClusterError, Processes, wait_until

_PODS_ARE_GONE_SECONDS = 10
_GRACE_SECONDS = 5  # an API server would wait a minute for its watches to end


def up(instance: Instance, nodes: Sequence[Node] = (), *, controllers: Sequence[str] = ()) -> None:
    """Start the control plane and the nodes; without nodes, just an API server with controllers.

    Args:
        instance: Where.
        nodes: The nodes.
        controllers: More flags of the controllers' process.

    Raises:
        ClusterError: the instance is up already, or something did not start.
    """
    if instance.state.exists():
        raise ClusterError(f"instance {instance.number} is up already; end it with `down`")
    if nodes and os.geteuid() != 0:
        raise ClusterError("nodes need namespaces, mounts and control groups: run this as root")
    instance.state.mkdir(parents=True)
    if not nodes:
        controlplane.start_api_server(instance, advertise="127.0.0.1")
        controlplane.start_controllers(instance, *controllers)
        return
    network.make_bridge(instance)
    controlplane.start_api_server(instance, advertise=instance.host_ip)
    controlplane.start_controllers(instance, *controllers)
    controlplane.start_scheduler(instance)
    controlplane.start_dns(instance)
    controlplane.apply_defaults(instance)
    images.load([images.pause_image()])
    add_nodes(instance, nodes)


def add_nodes(instance: Instance, nodes: Sequence[Node]) -> None:
    """Let nodes join, and wait until they are Ready.

    Raises:
        ClusterError: there are too many, one of that name exists, or one did not become Ready.
    """
    for node in nodes:
        others = roster.nodes(instance)
        roster.add(node)
        network.connect(node, others)
        machine.power_on(node)
    for node in nodes:
        _wait_until_ready(node)


def _wait_until_ready(node: Node) -> None:
    try:
        wait_until(partial(machine.is_ready, node), f"{node.name} to be Ready", 60)
    except ClusterError as error:
        # The logs go with the instance, often before somebody can look.
        processes = Processes(node.instance.state)
        told = [processes.last_words(f"{node.name}.{each}") for each in ("containerd", "kubelet")]
        raise ClusterError("\n".join([str(error), *told])) from error


def down(instance: Instance) -> None:
    """End everything that ``up`` started, however far it came; what was built stays."""
    nodes, processes = roster.nodes(instance), Processes(instance.state)
    for node in nodes:
        machine.power_off(node)
    for name in reversed(processes.names()):
        processes.stop(name, signal.SIGKILL)  # what they would write at their end is thrown away
    network.unplug(instance, nodes)
    if nodes:
        wait_until(
            partial(_no_control_groups, instance), "the last containers to end", _PODS_ARE_GONE_SECONDS
        )
    volumes.remove(instance)
    shutil.rmtree(instance.state, ignore_errors=True)


def restart(instance: Instance, component: str) -> None:
    """Stop a process of the cluster and start it again; of the API server, wait until it is ready."""
    with without(instance, component):
        pass


@contextmanager
def without(instance: Instance, component: str) -> Iterator[None]:
    """Stop a process of the cluster, and start it again afterwards; wait until the API server is ready."""
    processes = Processes(instance.state)
    processes.stop(component, patience=_GRACE_SECONDS)
    try:
        yield
    finally:
        processes.start_again(component)
        if component in {"etcd", "kube-apiserver"}:
            wait_until(partial(controlplane.is_ready, instance), f"the API server, see {instance.logs}", 60)
            for name in controlplane.DIE_WITHOUT_API_SERVER & set(processes.names()):
                if processes.running(name) is None:
                    processes.start_again(name)


def _no_control_groups(instance: Instance) -> bool:
    """Remove what the containers left in the control group hierarchies, of either version."""
    roots = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
    parents = [root / instance.control_group for root in roots if (root / instance.control_group).is_dir()]
    for parent in parents:
        for folder in sorted([parent, *(path for path in parent.rglob("*") if path.is_dir())], reverse=True):
            with suppress(OSError):  # a process in it is about to end
                folder.rmdir()
    return not any(parent.exists() for parent in parents)
