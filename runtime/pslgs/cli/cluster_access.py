"""The connection of the commands for jobs on a cluster."""

from pathlib import Path
from typing import TYPE_CHECKING

from pslgs.spec import InputError

if TYPE_CHECKING:
    from pslgs.cluster.access import Access


def access_cluster(kubeconfig: Path | None, context: str | None, namespace: str | None) -> "Access":
    """Connect to the cluster that options name; see `pslgs.cluster.connection.connect`.

    Raises:
        InputError: the optional package is not installed, or there is no such cluster.
    """
    try:
        from pslgs.cluster.connection import connect
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"kubernetes", "urllib3", "websocket"}:
            raise
        raise InputError.at(
            "", "commands for jobs on a cluster need the package kubernetes: pip install 'pslgs[cluster]'"
        ) from error
    return connect(kubeconfig, context, namespace)
