"""Helm, and the chart as the cluster's tests install it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cluster.testcluster.access import ApiServer, UnavailableError
from cluster.testcluster.layout import BIN
from cluster.testcluster.process import run

CHART: Final = Path(__file__).parents[3] / "charts" / "pslgs"
RELEASE: Final = "pslgs"
NAMESPACE: Final = "pslgs-system"


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm, as one user of one cluster; call it with Helm's arguments."""

    binary: Path
    kubeconfig: Path
    namespace: str = NAMESPACE

    def __call__(self, *words: str | Path, stdin: str | None = None) -> str:
        """Return what Helm printed.

        Raises:
            ClusterError: it failed; the text is what Helm said.
        """
        access = (f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}")
        return run(self.binary, *access, *words, stdin=stdin)

    def change(self, command: str, *words: str, chart: Path = CHART, **values: Any) -> str:
        """Run ``install`` or ``upgrade``, and return what it printed.

        Raises:
            ClusterError: it failed; the text is what Helm said.
        """
        return self(command, RELEASE, chart, *words, "--values=-", stdin=json.dumps(values))


def any_helm() -> Path:
    """Where Helm lies.

    Raises:
        UnavailableError: it does not.
    """
    found = shutil.which(BIN / "helm") or shutil.which("helm")
    if found is None:
        raise UnavailableError("helm is missing: install it, or run `make cluster`")
    return Path(found)


def helm_of(server: ApiServer) -> Helm:
    """Helm as the administrator.

    Raises:
        UnavailableError: there is no Helm.
    """
    return Helm(any_helm(), server.kubeconfig)


def image(reference: str) -> Mapping[str, str]:
    """An image as the chart's values name it."""
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}
