"""The clients of a job that runs on this machine as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pslgs.data.client_paths import Sites, find_sites, is_path, no_client_here
from pslgs.reporting.formatting import named
from pslgs.sampling.partition import share_names
from pslgs.spec import CLIENT_PLACEHOLDER, InputError, JobSpec
from pslgs.spec.client_placeholder import texts_per_client
from pslgs.spec.data import DataFormat
from pslgs.spec.violations import nearest

TRAIN: Final = "spec.data.train"


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


def local_sites(spec: JobSpec) -> Sites:
    """Find the clients whose training data are on this machine; none if the data do not differ by client.

    They are named by what is at the place of ``{client}`` in the path, or in the first path of the options
    of a Custom dataset that leads to anything.

    Raises:
        InputError: a file or folder has a name that cannot be a client's.
    """
    train = spec.data.train
    field = train.per_client_field
    if field is None:
        return Sites({})
    if field == "path":
        return find_sites(
            train.path or "",
            f"{TRAIN}.path",
            in_folders=train.format is DataFormat.IMAGE_FOLDER,
            wildcards=train.format in {DataFormat.PARQUET, DataFormat.CSV},
        )
    found = (
        find_sites(text, f"{TRAIN}.options") for text in texts_per_client(train.options) if is_path(text)
    )
    return next((sites for sites in found if sites.names), Sites({}))


def local_client(spec: JobSpec, name: str) -> LocalClient:
    """Return the client with an id.

    Raises:
        InputError: the data of other clients are on this machine, but not of this one.
    """
    sites = [*local_sites(spec).names]
    if sites and name not in sites:
        raise InputError.at(
            "--client",
            f"is '{name}', but the clients with data here are {named(sites)}{nearest(name, sites)}",
        )
    return LocalClient(name)


def local_clients(spec: JobSpec, clients: int | None) -> list[LocalClient]:
    """List the clients of a job: one for each share of its partition, or for each folder or file of data.

    Args:
        spec: The job, to which `partition_overrides` have been applied.
        clients: Number of clients; None for as many as there are data for.

    Raises:
        InputError: there are no data for that number of clients, or a name cannot be a client's.
    """
    if spec.data.partition is not None:
        return [
            LocalClient(name, index) for index, name in enumerate(share_names(spec.data.partition.clients))
        ]
    train = spec.data.train
    field = f"{TRAIN}.{train.per_client_field}"
    if not train.is_per_client:
        if (clients or 1) > 1:
            where = "options" if train.format is DataFormat.CUSTOM else "path"
            raise InputError.at(
                "spec.data",
                f"gives each of the {clients} clients the same samples; partition them with data.partition, "
                f"or put {CLIENT_PLACEHOLDER} into data.train.{where}",
            )
        return [LocalClient("client-0")]
    found = [*local_sites(spec).names]
    if not found and train.format is DataFormat.CUSTOM:
        if clients is None:
            raise InputError.at(
                field,
                f"hold {CLIENT_PLACEHOLDER}, but no path in them leads to files or folders that name the "
                "clients; give their number (--clients N), for the names client-0 to client-N-1, or to check "
                "the data of one, its name (--client)",
            )
        return [LocalClient(name) for name in share_names(clients)]
    if not found:
        raise InputError.at(field, no_client_here(train.path or ""))
    if (clients or 0) > len(found):
        raise InputError.at(field, f"leads to the data of {len(found)} clients, not of {clients}")
    return [LocalClient(name) for name in found[:clients]]
