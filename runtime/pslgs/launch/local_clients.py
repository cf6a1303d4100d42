"""The clients of a job that runs on this machine as a whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pslgs.sampling.partition import share_names
from pslgs.spec import CLIENT_PLACEHOLDER, InputError, JobSpec


@dataclass(frozen=True, slots=True)
class LocalClient:
    """A client on this machine.

    Attributes:
        client_id: Its id.
        partition_index: Index of its share of the partitioned dataset, from 0; None without a partition.
    """

    client_id: str
    partition_index: int | None = None


def partition_overrides(spec: JobSpec, clients: int | None) -> Sequence[str]:
    """Return the overrides that give a job's partition, if it has one, ``clients`` shares; None keeps it."""
    if clients is None or spec.data.partition is None:
        return ()
    return (f"spec.data.partition.clients={clients}",)


def local_clients(spec: JobSpec, clients: int | None) -> list[LocalClient]:
    """List the clients of a job: one for each share of its partition, or for each folder or file of data.

    Args:
        spec: The job, to which `partition_overrides` have been applied.
        clients: Number of clients; None for as many as there are data for.

    Raises:
        InputError: there are no data for that number of clients.
    """
    if spec.data.partition is not None:
        return [
            LocalClient(name, index) for index, name in enumerate(share_names(spec.data.partition.clients))
        ]
    if not spec.data.train.is_per_client:
        if (clients or 1) > 1:
            raise InputError.at(
                "spec.data",
                f"gives each of the {clients} clients the same samples; partition them with data.partition, "
                f"or put {CLIENT_PLACEHOLDER} into data.train.path",
            )
        return [LocalClient("client-0")]
    found = _client_names(spec.data.train.path or "")
    if not found or (clients or 0) > len(found):
        raise InputError.at(
            "spec.data.train.path",
            f"leads to the data of {len(found)} clients"
            + (f", not of {clients}" if clients else f"; {CLIENT_PLACEHOLDER} stands for the client's name"),
        )
    return [LocalClient(name) for name in found[:clients]]


def _client_names(pattern: str) -> list[str]:
    """Return the names, sorted, for which a path with the placeholder exists."""
    parts = Path(pattern).parts
    depth = next(i for i, part in enumerate(parts) if CLIENT_PLACEHOLDER in part)
    folder, part = Path(*parts[:depth]), parts[depth]
    name = re.compile(re.escape(part).replace(re.escape(CLIENT_PLACEHOLDER), "(?P<client>[a-z0-9.-]+)", 1))
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = (name.fullmatch(entry.name) for entry in entries)
    return [match["client"] for match in matches if match]
