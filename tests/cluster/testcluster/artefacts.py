"""What tells afterwards why something failed: logs, events and objects."""

import shutil
from contextlib import suppress
from pathlib import Path

from cluster.testcluster import roster
from cluster.testcluster.controlplane import administrator
from cluster.testcluster.kubectl import Kubectl
from cluster.testcluster.layout import Instance

_KINDS = "nodes,pods,jobs,deployments,services,configmaps,persistentvolumeclaims,networkpolicies"
_OURS = "splittrainingjobs.pslgs.dev"  # absent where the CRD is


def collect(instance: Instance, folder: Path) -> None:
    """Write logs, objects, events and requests into ``folder``; what cannot be had is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    if instance.logs.exists():
        shutil.copytree(instance.logs, folder / "processes", dirs_exist_ok=True)
    if instance.audit_log.exists():
        shutil.copy(instance.audit_log, folder)
    for node in roster.nodes(instance):
        with suppress(shutil.Error):  # the kubelet removes some meanwhile
            shutil.copytree(node.disk("/var/log/pods"), folder / "pods" / node.name, dirs_exist_ok=True)
    if instance.kubeconfig.exists():
        ask(administrator(instance), folder)


def ask(kubectl: Kubectl, folder: Path) -> None:
    """Write down what the API server knows; for an existing cluster this is all there is."""
    folder.mkdir(parents=True, exist_ok=True)
    everywhere = ("--all-namespaces", "--request-timeout=10s")
    for file, words in {
        "events.txt": ("get", "events", "--sort-by=.metadata.creationTimestamp", *everywhere),
        "pods.txt": ("get", "pods", "--output=wide", *everywhere),
        "objects.yaml": ("get", _KINDS, "--output=yaml", *everywhere),
        "splittrainingjobs.yaml": ("get", _OURS, "--output=yaml", *everywhere),
    }.items():
        (folder / file).write_text(kubectl(*words, check=False))
