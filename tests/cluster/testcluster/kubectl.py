"""kubectl, as one user of one cluster."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.testcluster.process import run


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Call it with kubectl's arguments."""

    binary: Path
    kubeconfig: Path

    def __call__(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Return what kubectl printed.

        Raises:
            ClusterError: it failed and ``check`` is set; the text has what it printed on stderr.
        """
        return run(self.binary, f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin, check=check)

    def json(self, *arguments: str | Path) -> Any:
        """Return what kubectl printed with ``--output=json``."""
        return json.loads(self(*arguments, "--output=json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects, server side."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self("apply", "--server-side", "--filename=-", stdin=json.dumps(listed))
