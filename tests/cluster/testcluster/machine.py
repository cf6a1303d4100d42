"""Starting, killing and cutting off a node."""

import shutil
import signal
from pathlib import Path

import grpc

from cluster.testcluster import images, nodeconfig
from cluster.testcluster.controlplane import administrator
from cluster.testcluster.layout import BIN, Node
from cluster.testcluster.process import ClusterError, Processes, run, wait_until

# Folders that every node has for itself; the rest of the file system is the host's.
# Those under /run are empty after a power cut, as on any machine.
_OWN_FOLDERS = (
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
    "/run/containerd",
    "/run/netns",
    "/etc/cni/net.d",
    "/srv",
)


def power_on(node: Node) -> None:
    """Start the node: its first process, containerd, the kubelet, kube-proxy and its GPUs.

    Raises:
        ClusterError: it is on already, or something did not start.
    """
    if is_on(node):
        raise ClusterError(f"{node.name} is on already")
    _make_folders(node)
    nodeconfig.write(node)
    processes = Processes(node.instance.state)
    inside: list[str | Path] = ["nsenter", "-t", _first_process(node), "-m", "-n", "-p", "--"]
    containerd = [*inside, "containerd", "-c", node.root / "containerd.toml"]
    processes.start(f"{node.name}.containerd", containerd)
    wait_until(lambda: _takes_pods(node), f"{node.name}'s containerd", 30)
    processes.start(f"{node.name}.kubelet", [*inside, BIN / "kubelet", *nodeconfig.kubelet(node)])
    processes.start(f"{node.name}.kube-proxy", [*inside, BIN / "kube-proxy", *nodeconfig.kube_proxy(node)])
    if node.gpus:
        gpus: list[str | Path] = [
            BIN / "fake-gpu",
            f"--count={node.gpus}",
            f"--unhealthy-file={node.broken_gpu}",
        ]
        processes.start(f"{node.name}.gpu", [*inside, *gpus])


def power_off(node: Node) -> None:
    """Cut the node's power: all its processes and containers end at once, its disk stays."""
    processes = Processes(node.instance.state)
    # The first process goes first: the kernel ends all others of its namespace with it.
    for name in [name for name in processes.names() if name.startswith(f"{node.name}.")]:
        processes.stop(name, signal.SIGKILL)


def kill(node: Node, container: str) -> None:
    """End a container's processes at once."""
    inside = ("ctr", "--address", socket(node), "--namespace", "k8s.io")
    run(*inside, "tasks", "kill", "--all", "--signal=SIGKILL", container)


def is_on(node: Node) -> bool:
    """Whether the node has power."""
    return Processes(node.instance.state).running(f"{node.name}.init") is not None


def is_ready(node: Node) -> bool:
    """Whether the node's Ready condition is True."""
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    kubectl = administrator(node.instance)
    return kubectl("get", "node", node.name, "-o", f"jsonpath={path}", check=False) == "True"


def socket(node: Node) -> Path:
    """The address of the node's containerd, as the host sees it."""
    return node.disk("/run/containerd") / "containerd.sock"


def _takes_pods(node: Node) -> bool:
    """Whether containerd answers what a kubelet asks: a while after its socket is there."""
    with grpc.insecure_channel(f"unix:{socket(node)}") as channel:
        try:
            channel.unary_unary("/runtime.v1.RuntimeService/Status")(b"", timeout=1)
        except grpc.RpcError:
            return False
    return True


def _first_process(node: Node) -> str:
    """Start a process in new namespaces, mount the node's own folders there, and return its id."""
    shell = Processes(node.instance.state).start(
        f"{node.name}.init",
        [
            "nsenter",
            f"--net=/run/netns/{node.netns}",
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            BIN / "pause",
        ],
    )
    children = Path(f"/proc/{shell}/task/{shell}/children")
    wait_until(lambda: children.read_text().split(), f"{node.name}'s first process", 10)
    first = children.read_text().split()[0]
    mounts = [f"mount --bind {node.disk(folder)} {folder}" for folder in _OWN_FOLDERS]
    run("nsenter", "-t", first, "-m", "sh", "-ec", "\n".join(["mount --make-rprivate /", *mounts]))
    return first


def _make_folders(node: Node) -> None:
    for folder in _OWN_FOLDERS:
        Path(folder).mkdir(parents=True, exist_ok=True)  # where the node's own folder is mounted
        if folder.startswith("/run/"):
            shutil.rmtree(node.disk(folder), ignore_errors=True)
        node.disk(folder).mkdir(parents=True, exist_ok=True)
    images.fill(node.disk("/var/lib/containerd"))
