"""What a client process is told beside the manifest."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Who a client is, and where it finds its server.

    Attributes:
        client_id: Its id, as its certificate says.
        server: ``host:port``.
        identity: Folder with its certificate; None for no TLS.
        cache: Folder for converted datasets.
        cores: Number of threads that load samples; torch computes on as many cores.
        partition_index: Its share of a partitioned dataset, from 0; None without a partition.
        http: Host and port of /metrics and /healthz; None for none.
        patience: Seconds after which it gives up looking for its server.
        stays: Whether to look for the server again after one that was interrupted, and will be resumed.
        with_parent: Whether to stop when the process that started it ends.
    """

    client_id: str
    server: str
    identity: Path | None
    cache: Path
    cores: int
    partition_index: int | None = None
    http: tuple[str, int] | None = None
    patience: float = 300.0
    stays: bool = False
    with_parent: bool = False
