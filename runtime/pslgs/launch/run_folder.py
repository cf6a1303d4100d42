"""The folder of a run: which one it is, and what stands in it before the server starts."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from pslgs.process.machine import available_cores
from pslgs.spec import InputError

JOB_FILE = "job.yaml"
MACHINE_FILE = "machine.json"
RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Cores:
    """How many cores each process computes with; part of what makes two runs equal to the last bit."""

    server: int
    client: int


def choose_folder(name: str, output: Path | None, *, resume: bool) -> Path:
    """Choose the folder of a run: ``output``, or else one under ``runs/`` named after the job.

    Raises:
        InputError: the folder holds a run and it is not to be resumed, or the reverse.
    """
    if output is None:
        taken = _numbered(name)
        free = RUNS / (name if not taken else f"{name}-{len(taken) + 1}")
        output = taken[-1] if resume and taken else free
    holds_run = (output / JOB_FILE).exists()
    if resume and not holds_run:
        raise InputError.at("--resume", f"there is no run in {output}; start it without --resume")
    if holds_run and not resume:
        raise InputError.at(
            "--output", f"{output} holds a run already; go on with it (--resume), or name another folder"
        )
    return output


def prepare_folder(folder: Path, document: object, clients: int) -> Cores:
    """Write the manifest into the folder; return the cores, those of the first start where there was one.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (folder / JOB_FILE).write_text(text, encoding="utf-8")
    machine = folder / MACHINE_FILE
    if machine.exists():
        return Cores(**json.loads(machine.read_text(encoding="utf-8")))
    available = available_cores()
    cores = Cores(server=available, client=max(1, available // clients))
    machine.write_text(json.dumps(asdict(cores)), encoding="utf-8")
    return cores


def _numbered(name: str) -> list[Path]:
    """List the runs of that name, the newest last."""
    found: list[Path] = []
    while (folder := RUNS / (name if not found else f"{name}-{len(found) + 1}")).exists():
        found.append(folder)
    return found
