"""A real multi-node Kubernetes cluster on one Linux machine, without containers or virtual machines.

A node is a set of namespaces: its own network, process tree and mounts, with an unmodified containerd,
kubelet and kube-proxy in it.  Killing the node's first process is the node losing power.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cluster.testcluster import (
    appimages,
    artefacts,
    baseimage,
    binaries,
    images,
    installing,
    lifecycle,
    machine,
    network,
    roster,
)
from cluster.testcluster.audit import AuditLog
from cluster.testcluster.layout import BIN, MAX_INSTANCES, Instance, Node
from cluster.testcluster.process import ClusterError, Processes
from cluster.testcluster.sboms import write_sboms
from cluster.testcluster.stage import Cluster

NODE_ACTIONS: dict[str, Callable[[Node], None]] = {
    "on": machine.power_on,
    "off": machine.power_off,
    "cut": partial(network.set_cable, connected=False),
    "heal": partial(network.set_cable, connected=True),
}


def main(words: list[str]) -> None:
    """Do what the command line says.

    Raises:
        ClusterError: it could not be done.
    """
    arguments = _parser().parse_args(words)
    arguments.do(Instance(arguments.instance), arguments)


def _build(_: Instance, arguments: argparse.Namespace) -> None:
    # First, since an API server needs nothing else, and no root.
    binaries.build(*(arguments.tools or ["coredns", "helm"]))
    binaries.install_packages()


def _up(instance: Instance, arguments: argparse.Namespace) -> None:
    lifecycle.up(instance, [] if arguments.api_only else roster.parse(instance, arguments.nodes))
    print(f"export KUBECONFIG={instance.kubeconfig}\nexport PATH={BIN}:$PATH")


def _down(instance: Instance, _: argparse.Namespace) -> None:
    lifecycle.down(instance)


def _load(instance: Instance, arguments: argparse.Namespace) -> None:
    images.load(arguments.archives, _containerds(instance))


def _containerds(instance: Instance) -> list[Path]:
    return [machine.socket(node) for node in roster.nodes(instance) if machine.is_on(node)]


def _app_images(_: Instance, __: argparse.Namespace) -> None:
    print(*appimages.ensure(appimages.OPERATOR, appimages.RUNTIME), sep="\n")


def _operator(instance: Instance, _: argparse.Namespace) -> None:
    references = appimages.ensure(appimages.OPERATOR, appimages.RUNTIME)
    images.give(references, _containerds(instance))
    installing.install(Cluster(instance.kubeconfig, BIN / "kubectl", instance), *references)


def _sboms(_: Instance, arguments: argparse.Namespace) -> None:
    print(*write_sboms(arguments.folder), sep="\n")


def _base_image(_: Instance, __: argparse.Namespace) -> None:
    print(baseimage.make())


def _node(instance: Instance, arguments: argparse.Namespace) -> None:
    if arguments.action == "add":
        lifecycle.add_nodes(instance, roster.parse(instance, [arguments.name]))
    else:
        NODE_ACTIONS[arguments.action](roster.find(instance, arguments.name))


def _component(instance: Instance, arguments: argparse.Namespace) -> None:
    processes = Processes(instance.state)
    match arguments.action:
        case "stop":
            processes.stop(arguments.name)
        case "start":
            processes.start_again(arguments.name)
        case "restart":
            lifecycle.restart(instance, arguments.name)


def _status(instance: Instance, _: argparse.Namespace) -> None:
    processes = Processes(instance.state)
    for name in processes.names():
        print(f"{name:28} {processes.running(name) or 'ended'}")


def _requests(instance: Instance, _: argparse.Namespace) -> None:
    requests = AuditLog(instance.audit_log).requests()
    counts = Counter((one.user, one.verb, one.resource) for one in requests)
    for (user, verb, resource), count in counts.most_common():
        print(f"{count:7} {user:45} {verb:8} {resource}")


def _logs(instance: Instance, arguments: argparse.Namespace) -> None:
    print((instance.logs / f"{arguments.name}.log").read_text(), end="")


def _collect(instance: Instance, arguments: argparse.Namespace) -> None:
    artefacts.collect(instance, arguments.folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="testcluster", description=__doc__)
    parser.add_argument("--instance", type=int, default=0, choices=range(MAX_INSTANCES), metavar="NUMBER")
    commands = parser.add_subparsers(required=True)

    def command(name: str, do: Callable[..., None], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text)
        made.set_defaults(do=do)
        return made

    build = command("build", _build, "build and install what is missing")
    build.add_argument("tools", nargs="*", default=[], choices=[*binaries.GO_TOOLS, []], metavar="TOOL")
    start = command("up", _up, "start a cluster")
    start.add_argument("--api-only", action="store_true", help="no nodes: an API server with controllers")
    start.add_argument("--nodes", nargs="+", default=roster.DEFAULT, metavar="NAME[:gpus=N][,LABEL=VALUE]")
    command("down", _down, "end the cluster")
    command("status", _status, "list the processes")
    command("requests", _requests, "count the API server's requests")
    command("base-image", _base_image, "make a Debian base image with Python in buildah's store")
    command("images", _app_images, "build the project's images and put them into the store")
    command("operator", _operator, "install the operator of this checkout, or upgrade it, with the chart")
    sboms = command("sbom", _sboms, "write the SBOMs of the project's images into a folder")
    sboms.add_argument("folder", type=Path)
    command("load", _load, "import images into the nodes").add_argument("archives", nargs="+", type=Path)
    node = command("node", _node, "cut a node's power or cable, give it back, or add one")
    node.add_argument("action", choices=[*NODE_ACTIONS, "add"])
    node.add_argument("name", help="of `add`: NAME[:gpus=N][,LABEL=VALUE]")
    component = command("component", _component, "stop and start a single process")
    component.add_argument("action", choices=["stop", "start", "restart"])
    component.add_argument("name")
    command("logs", _logs, "print a process's log").add_argument("name")
    collect = command("collect", _collect, "write everything that tells what happened into a folder")
    collect.add_argument("folder", type=Path)
    return parser


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ClusterError as error:
        sys.exit(f"testcluster: {error}")
