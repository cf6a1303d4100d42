"""Options of a server process that are not part of the manifest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CLIENT_SERIES: Final = 1000


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Addresses, folders and device of a server.

    Attributes:
        listen: ``host:port`` for gRPC; port 0 lets the system choose.
        http: Host and port of /metrics, /healthz, /readyz and /status.
        identity: Folder with the server's certificate; None for no TLS.
        run: Folder for journal, checkpoints and model.
        cache: Folder for converted datasets.
        expected_clients: Number of clients that the start waits for.
        device: ``auto``, ``cpu``, ``cuda`` …
        client_series: Maximum number of clients with metrics of their own; others count in the totals only.
        with_parent: Whether to stop when the parent process ends.
        job_uid: The uid of the SplitTrainingJob; empty outside of a cluster.
        notice: Information on the start that is shown in the status; empty if there is none.
    """

    listen: str
    http: tuple[str, int]
    identity: Path | None
    run: Path
    cache: Path
    expected_clients: int
    device: str = "auto"
    client_series: int = CLIENT_SERIES
    with_parent: bool = False
    job_uid: str = ""
    notice: str = ""
