"""What the data of a job on this machine are, and what is left out of them, as lines for the user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pslgs.data.client_paths import Sites, no_client_here, path_of_client
from pslgs.data.discovery import existing_folder, find_images, matching_files
from pslgs.data.left_out import LeftOut
from pslgs.launch.local_clients import local_sites
from pslgs.reporting.formatting import count
from pslgs.spec import InputError, JobSpec
from pslgs.spec.data import DataFormat, DataSource

LINES_LIMIT: Final = 50


def site_notes(sites: Sites) -> Iterator[str]:
    """Describe the clients that are called otherwise than their data, and what is no client's data."""
    for client, name in sites.renamed.items():
        yield f"the data of '{name}' are those of the client {client}"
    if sites.left_out:
        yield f"not a client's data: {_listed(sites.left_out)}"


def left_out_notes(left_out: Mapping[str, Sequence[LeftOut]]) -> Iterator[str]:
    """Describe what is left out of the data of each client; the server's are those of ''."""
    for client, parts in left_out.items():
        if parts:
            yield f"{client or 'the server'} leaves out {_listed(parts)}"


def limited(lines: Sequence[str]) -> list[str]:
    """Return at most `LINES_LIMIT` lines, with a last one that counts the others."""
    if len(lines) <= LINES_LIMIT:
        return list(lines)
    return [*lines[:LINES_LIMIT], f"… and {len(lines) - LINES_LIMIT:,} more lines"]


@dataclass(frozen=True, slots=True)
class FoundData:
    """The files of one dataset, which were listed but not read.

    Attributes:
        client: The client; empty for data that do not differ by client.
        field: Path of the dataset in the manifest (``spec.data.train``).
        found: What was found, in words.
        left_out: The files that are not read.
        is_here: Whether they can be read on this machine.
    """

    client: str
    field: str
    found: str
    left_out: tuple[LeftOut, ...] = ()
    is_here: bool = True

    def __str__(self) -> str:
        others = f"; left out: {_listed(self.left_out)}" if self.left_out else ""
        return f"{self.field}{f' of {self.client}' if self.client else ''}: {self.found}{others}"


def find_data(spec: JobSpec) -> list[FoundData]:
    """List the files of a job's datasets on this machine, where the data are files.

    A dataset that is not on this machine is described as such: it may be on the machines of a cluster.

    Raises:
        InputError: a file or folder has a name that cannot be a client's.
    """
    sites = [*local_sites(spec).names]
    datasets: list[tuple[str, DataSource]] = [("spec.data.train", spec.data.train)]
    if spec.data.evaluation is not None:
        datasets.append(("spec.data.evaluation", spec.data.evaluation))
    return [
        _found(client, field, source)
        for field, source in datasets
        if source.path is not None and source.format is not DataFormat.TORCHVISION
        for client in (sites if source.is_per_client and sites else [""])
    ]


def _found(client: str, field: str, source: DataSource) -> FoundData:
    if source.is_per_client and not client:
        return FoundData("", field, no_client_here(source.path or ""), is_here=False)
    path = path_of_client(source.path or "", client)
    try:
        if source.format is DataFormat.IMAGE_FOLDER:
            images = find_images(existing_folder(path, f"{field}.path"), f"{field}.path")
            sizes = [f"{name} {len(files):,}" for name, files in images.by_class.items()]
            total = sum(map(len, images.by_class.values()))
            return FoundData(client, field, f"{count(total, 'image')} ({', '.join(sizes)})", images.left_out)
        if Path(path).expanduser().is_dir():
            return FoundData(client, field, f"the folder {path}")
        files, left_out = matching_files(path, f"{field}.path")
        return FoundData(client, field, count(len(files), "file"), left_out)
    except InputError as error:
        return FoundData(client, field, error.violations[0].problem, is_here=False)


def _listed(parts: Sequence[LeftOut]) -> str:
    return ", ".join(map(str, parts))
