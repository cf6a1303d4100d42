"""Kueue: its custom resource definitions, from its Go module, and its controller."""

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from cluster.testcluster import controlplane
from cluster.testcluster.access import ApiServer, UnavailableError
from cluster.testcluster.binaries import GO_TOOLS
from cluster.testcluster.layout import BIN
from cluster.testcluster.process import ClusterError, Processes, free_port, run, wait_until

MODULE: Final = GO_TOOLS["kueue"].replace("/cmd/kueue", "")
API: Final = "kueue.x-k8s.io/v1beta2"

_BINARY: Final = BIN / "kueue"
_METRICS: Final = "/etc/kueue/metrics/certs"
"""Where Kueue looks for a certificate when it does not issue its own; nobody else sees this one there."""


def definitions() -> Path:
    """Return the folder with Kueue's definitions, which Go downloads once.

    Raises:
        UnavailableError: there is no Go, or no module proxy that has the module.
    """
    if shutil.which("go") is None:
        raise UnavailableError(f"Go is missing, which downloads the definitions of {MODULE}")
    try:
        answer = run("go", "mod", "download", "-json", MODULE)
    except ClusterError as error:
        raise UnavailableError(f"Go cannot download {MODULE}: {error}") from error
    return Path(json.loads(answer)["Dir"]) / "config" / "components" / "crd" / "bases"


def start_controller(server: ApiServer, *frameworks: str) -> None:
    """Start Kueue's controller as a process of the instance; it manages Jobs without a queue as well.

    Args:
        server: An API server of our own.
        frameworks: Kinds whose Jobs need no admission of their own.

    Raises:
        UnavailableError: it is not built.
        ClusterError: it did not start.
    """
    if not _BINARY.exists():
        raise UnavailableError(
            "Kueue is not built here: run `testcluster build kueue` (docs/how-to/testing.md)"
        )
    instance = server.own()
    server.run("apply", "--server-side", f"--filename={definitions()}")
    server.wait_for_kinds()
    server.run.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kueue-system"}})
    folder, port = instance.state / "kueue", free_port()
    folder.mkdir()
    certificate, key = controlplane.authority(instance).issue("kueue", addresses=["127.0.0.1"])
    shutil.copy(certificate, folder / "tls.crt")
    shutil.copy(key, folder / "tls.key")
    config = folder / "config.yaml"
    config.write_text(json.dumps(_configuration(folder, port, frameworks)))
    environ = f"KUBECONFIG={instance.kubeconfig} POD_NAMESPACE=kueue-system"
    command = (
        f"mkdir -p {_METRICS} && mount --bind {folder} {_METRICS} && "
        f"exec env {environ} {_BINARY} --config={config} --feature-gates=VisibilityOnDemand=false"
    )
    processes = Processes(instance.state)
    processes.start("kueue", ["unshare", "--mount", "sh", "-c", command])
    try:
        wait_until(lambda: _answers(port), "Kueue to be ready", 120)
    except ClusterError as error:
        raise ClusterError(f"{error}\n{processes.last_words('kueue')}") from error


def queue(name: str, namespace: str, **quota: str) -> list[dict[str, Any]]:
    """Make a LocalQueue and its ClusterQueue, with a quota of resources of any node for one namespace."""
    resources = [{"name": each, "nominalQuota": amount} for each, amount in quota.items()]
    spec = {
        "queueingStrategy": "BestEffortFIFO",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [
            {"coveredResources": [*quota], "flavors": [{"name": namespace, "resources": resources}]}
        ],
    }
    return [
        _object("ResourceFlavor", {"name": namespace}),
        _object("ClusterQueue", {"name": namespace}, spec=spec),
        _object("LocalQueue", {"name": name, "namespace": namespace}, spec={"clusterQueue": namespace}),
    ]


def priority_class(name: str, value: int) -> dict[str, Any]:
    """Make a WorkloadPriorityClass."""
    return _object("WorkloadPriorityClass", {"name": name}, value=value)


def _object(kind: str, metadata: dict[str, str], **content: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": metadata, **content}


def _configuration(folder: Path, port: int, frameworks: tuple[str, ...]) -> dict[str, Any]:
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{port}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": free_port(), "certDir": str(folder)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "manageJobsWithoutQueueName": True,
        "integrations": {"frameworks": ["batch/job"], "externalFrameworks": [*frameworks]},
    }


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
