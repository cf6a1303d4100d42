"""The chart in a cluster of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chart.rendering import CHART, NAMESPACE, RELEASE, Helm
from cluster.testcluster.access import ApiServer
from control_loop.operating import training_job

CRD = "crd/splittrainingjobs.pslgs.dev"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:pslgs-operator"


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster in which the chart is installed, changed and uninstalled."""

    server: ApiServer
    helm: Helm
    folder: Path

    def change(self, command: str, *words: str, chart: Path = CHART, **values: Any) -> str:
        """Run ``helm install`` or ``helm upgrade``."""
        file = self.folder / "values.json"
        file.write_text(json.dumps(values))
        return self.ask(command, RELEASE, str(chart), f"--values={file}", *words)

    def ask(self, *words: str) -> str:
        """Run Helm in the operator's namespace."""
        return self.helm.in_cluster(self.server.kubeconfig, *words)

    def found(self, target: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """An object; empty if there is none."""
        text = self.server.run("--namespace", namespace, "get", target, "--output=json", "--ignore-not-found")
        return dict(json.loads(text)) if text else {}

    def make_namespaces(self, *names: str, **security: str) -> None:
        """Make namespaces, unless they are there."""
        metadata = {
            "labels": {f"pod-security.kubernetes.io/{name}": value for name, value in security.items()}
        }
        self.server.run.apply(
            *(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata | {"name": name}}
                for name in names
            )
        )

    def make_job(self, namespace: str, name: str = "digits") -> None:
        """Apply a job that finds no node."""
        self.server.run("wait", "--for=condition=Established", "--timeout=30s", CRD)
        self.server.run.apply(training_job(name, namespace, {"site": namespace}))

    def job(self, namespace: str, name: str = "digits") -> Mapping[str, Any]:
        """A job; empty if there is none."""
        return self.found(f"stj/{name}", namespace)

    def may(self, user: str, verb: str, resource: str, *where: str) -> bool:
        """Whether a user may do something, in a namespace or (``--all-namespaces``) everywhere."""
        return self.server.run(
            "auth", "can-i", verb, resource, f"--as={user}", *where, check=False
        ).startswith("yes")
