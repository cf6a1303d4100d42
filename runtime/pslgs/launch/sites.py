"""Which clients a job has when all of it runs on this machine."""

import re
from dataclasses import dataclass
from pathlib import Path

from pslgs.sampling.partition import share_names
from pslgs.spec import CLIENT_PLACEHOLDER, InputError, JobSpec


@dataclass(frozen=True, slots=True)
class Site:
    """One client.

    Attributes:
        client_id: Its id.
        share: Its share of a partition, from 0; None where it has data of its own.
    """

    client_id: str
    share: int | None


def client_overrides(spec: JobSpec, clients: int | None) -> list[str]:
    """Return the overrides by which a partition has as many shares as there are clients."""
    if clients is None or spec.data.partition is None:
        return []
    return [f"spec.data.partition.clients={clients}"]


def sites(spec: JobSpec, clients: int | None) -> list[Site]:
    """Name the clients: one for each share of the partition, or for each that has data of its own.

    Args:
        spec: The job, its partition already as large as ``clients`` says.
        clients: How many were asked for; None for as many as there are data for.

    Raises:
        InputError: there are no data for them.
    """
    if spec.data.partition is not None:
        return [Site(name, share) for share, name in enumerate(share_names(spec.data.partition.clients))]
    if not spec.data.train.is_per_client:
        if (clients or 1) > 1:
            raise InputError.at(
                "spec.data",
                f"gives each of the {clients} clients the same samples; deal them out with data.partition, "
                f"or put {CLIENT_PLACEHOLDER} into data.train.path",
            )
        return [Site("client-0", None)]
    found = _found(spec.data.train.path or "")
    if not found or (clients or 0) > len(found):
        raise InputError.at(
            "spec.data.train.path",
            f"leads to the data of {len(found)} clients"
            + (f", not of {clients}" if clients else f"; {CLIENT_PLACEHOLDER} stands for the client's name"),
        )
    return [Site(name, None) for name in found[:clients]]


def _found(pattern: str) -> list[str]:
    """List the names for which a path with the placeholder leads to something."""
    parts = Path(pattern).parts
    depth = next(i for i, part in enumerate(parts) if CLIENT_PLACEHOLDER in part)
    folder, part = Path(*parts[:depth]), parts[depth]
    name = re.compile(re.escape(part).replace(re.escape(CLIENT_PLACEHOLDER), "(?P<client>[a-z0-9.-]+)", 1))
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = (name.fullmatch(entry.name) for entry in entries)
    return [match["client"] for match in matches if match]
