"""The folder of a run: choose it, and write what the server needs in it before it starts."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from pathlib import Path

import yaml

from pslgs.atomic_file import replacing
from pslgs.json_text import parse_json
from pslgs.process.machine import available_cores, cores_of_client
from pslgs.server.run_owner import RunFolderInUse, only_server
from pslgs.spec import InputError

JOB_FILE = "job.yaml"
MACHINE_FILE = "machine.json"
RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Cores:
    """Number of cores of each process; bit-identical runs need the same numbers.

    Attributes:
        server: Number of the server's cores.
        client: Number of each client's cores.
    """

    server: int
    client: int


def choose_folder(name: str, output: Path | None, *, resume: bool) -> Path:
    """Return the folder of a run: ``output``, or by default one under ``runs/`` named after the job.

    Raises:
        InputError: the folder has a run and ``resume`` is false, or it has none and ``resume`` is true, or
            a server still writes to it.
    """
    if output is None:
        existing = [*takewhile(Path.exists, numbered_folders(name))]
        new = next(folder for folder in numbered_folders(name) if not folder.exists())
        output = existing[-1] if resume and existing else new
    has_run = (output / JOB_FILE).exists()
    if resume and not has_run:
        raise InputError.at("--resume", f"there is no run in {output}; start one without --resume")
    if has_run and not resume:
        raise InputError.at(
            "--output", f"{output} has a run already; resume it with --resume, or name another folder"
        )
    if resume:
        _check_unused(output)
    return output


def _check_unused(folder: Path) -> None:
    try:
        with only_server(folder):
            pass
    except RunFolderInUse as error:
        raise InputError.at("--resume", str(error)) from error
    except OSError:
        pass  # what does not let the folder be written is reported when it is


def prepare_folder(folder: Path, document: object, clients: int) -> Cores:
    """Create the folder, and write the manifest and the numbers of cores into it.

    Args:
        folder: Folder of the run.
        document: The manifest.
        clients: Number of clients, which share this machine's cores.

    Returns:
        The numbers of cores; those of the first start if the run is resumed.

    Raises:
        InputError: the numbers of cores of the first start cannot be read.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    _write(folder / JOB_FILE, text)
    machine = folder / MACHINE_FILE
    if machine.exists():
        return _read_cores(machine)
    available = available_cores()
    cores = Cores(server=available, client=cores_of_client(clients, available))
    _write(machine, json.dumps(asdict(cores)))
    return cores


def _read_cores(machine: Path) -> Cores:
    match _json_of(machine):
        case {"server": int(server), "client": int(client)} if min(server, client) > 0:
            return Cores(server, client)
        case _:
            raise InputError.at(str(machine), "is damaged; remove it to choose the numbers of cores anew")


def _json_of(file: Path) -> object:
    try:
        return parse_json(file.read_bytes())
    except ValueError:
        return None


def _write(file: Path, text: str) -> None:
    """Write a whole file, or leave the old one: a resumed run reads the manifest from it."""
    with replacing(file) as new:
        new.write_text(text, encoding="utf-8")


def weights_of(run: Path) -> Path:
    """Return the file with the weights of a run: its model, or before its end, that of its last checkpoint.

    Args:
        run: Folder of the run, or a file of weights.

    Raises:
        InputError: there is none.
    """
    checkpoints = sorted(run.glob("checkpoints/step-*/model.safetensors"), reverse=True)
    candidates = [run] if run.is_file() else [run / "model.safetensors", *checkpoints]
    found = next((file for file in candidates if file.is_file()), None)
    if not run.exists():
        raise InputError.at("--from", f"is '{run}', which does not exist; name a run's folder")
    if found is None:
        raise InputError.at(
            "--from", f"is '{run}', which has neither model.safetensors nor a checkpoint; name a run's folder"
        )
    return found.resolve()


def numbered_folders(name: str) -> Iterator[Path]:
    """Yield the folders under ``runs/`` for what is called ``name``: NAME, NAME-2, NAME-3 and so on."""
    yield RUNS / name
    yield from (RUNS / f"{name}-{number}" for number in count(2))
