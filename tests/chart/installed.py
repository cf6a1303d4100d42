"""The chart in a cluster of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chart.rendering import Renderer
from cluster.testcluster.access import ApiServer
from cluster.testcluster.helm import NAMESPACE, Helm
from control_loop.operating import training_job

CRD = "crd/splittrainingjobs.pslgs.dev"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:pslgs-operator"


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster in which the chart is installed, changed and uninstalled."""

    server: ApiServer
    helm: Helm
    renderer: Renderer
    folder: Path

    def found(self, target: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """An object; empty if there is none."""
        text = self.server.run("--namespace", namespace, "get", target, "--output=json", "--ignore-not-found")
        return dict(json.loads(text)) if text else {}

    def settings(self) -> dict[str, str]:
        """Environment variables of the operator's container that have a fixed value."""
        (container,) = self.found("deployment/pslgs-operator")["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each["value"] for each in container["env"] if "value" in each}

    def make_namespaces(self, *names: str, **security: str) -> None:
        """Make namespaces, unless they are there, and wait until pods may be made in them."""
        labels = {f"pod-security.kubernetes.io/{name}": value for name, value in security.items()}
        for name in names:
            self.server.run.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            )
            self.server.run(
                "--namespace", name, "wait", "--for=create", "--timeout=30s", "serviceaccount/default"
            )

    def make_job(self, namespace: str, name: str = "digits") -> None:
        """Apply a job that finds no node."""
        self.server.wait_for_kinds()
        self.server.run.apply(training_job(name, namespace, {"site": namespace}))

    def job(self, namespace: str, name: str = "digits") -> Mapping[str, Any]:
        """A job; empty if there is none."""
        return self.found(f"stj/{name}", namespace)

    def may(self, user: str, verb: str, resource: str, *where: str) -> bool:
        """Whether a user may do something, in a namespace or (``--all-namespaces``) everywhere."""
        kind, _, part = resource.partition("/")
        words = ("auth", "can-i", verb, kind, f"--subresource={part}", f"--as={user}", *where)
        return self.server.run(*words, check=False).startswith("yes")
