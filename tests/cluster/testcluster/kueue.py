"""The custom resource definitions of Kueue, from its Go module."""

import json
import shutil
from pathlib import Path
from typing import Final

from cluster.testcluster.access import UnavailableError
from cluster.testcluster.binaries import GO_TOOLS
from cluster.testcluster.process import ClusterError, run

MODULE: Final = GO_TOOLS["kueue"].replace("/cmd/kueue", "")
API: Final = "kueue.x-k8s.io/v1beta2"


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
