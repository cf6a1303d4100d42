"""What a server process is told beside the manifest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CLIENT_SERIES: Final = 1000


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where a server listens, and where it keeps what it makes.

    Attributes:
        listen: ``host:port`` for the clients; port 0 lets the system choose.
        http: Host and port of /metrics, /healthz, /readyz and /status.
        identity: Folder with the server's certificate; None for no TLS.
        run: Folder of journal, checkpoints and model.
        cache: Folder for converted datasets.
        expected_clients: How many clients the start waits for.
        device: ``auto``, ``cpu``, ``cuda`` …
        client_series: Clients that get metrics of their own; further ones count in the totals only.
        with_parent: Whether to stop when the process that started this one ends.
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
