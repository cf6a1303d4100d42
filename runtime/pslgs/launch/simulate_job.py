"""Simulate a job in a run folder, with live progress."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pslgs.launch.progress import ProgressView
from pslgs.launch.run_folder import prepare_folder
from pslgs.server.run_checkpoint import write_model
from pslgs.simulation.api import run_simulation
from pslgs.simulation.result import SimulationResult
from pslgs.simulation.setup import Simulation, Threads
from pslgs.spec.manifest import with_overrides
from pslgs.telemetry.journal import FILE_NAME, Journal
from pslgs.telemetry.records import Record
from pslgs.telemetry.status import Status, next_status

MODEL_FILE = "model.safetensors"
_SECONDS_BETWEEN_SHOWS = 0.2


def train_in_folder(
    simulation: Simulation, folder: Path, clients: Sequence[str], view: ProgressView
) -> SimulationResult:
    """Simulate a job with a folder as `pslgs run` leaves it: manifest, journal, model.

    The cores are those that a run of so many clients would have on this machine.

    Raises:
        InputError: the job or its data cannot be used.
        OSError: the folder cannot be written.
    """
    cores = prepare_folder(folder, document_of(simulation), len(clients))
    options = replace(simulation.options, threads=Threads(cores.server, cores.client))
    with Journal(folder / FILE_NAME) as journal:
        status = Status(
            time.time(),
            simulation.job.spec.epochs,
            len(clients),
            clients={"live": tuple(clients), "lost": ()},
        )
        result = run_simulation(replace(simulation, options=options), _Watcher(journal, view, status).take)
    if result.model is not None:
        write_model(result.model, folder)
    return result


def document_of(simulation: Simulation) -> object:
    """Write the job as a manifest that tells the strategy, a baseline too, though no run would take that."""
    document = simulation.job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return with_overrides(document, [f"spec.sampling.strategy={simulation.strategy.name}"])


class _Watcher:
    """Writes each record into the journal, and shows now and then where the simulation is."""

    def __init__(self, journal: Journal, view: ProgressView, status: Status) -> None:
        self._journal = journal
        self._view = view
        self._status = status
        self._shown = 0.0

    def take(self, record: Record, steps: int) -> None:
        """Take in a record; ``steps`` are those in all."""
        self._journal.append(record)
        self._status = replace(next_status(self._status, record), steps=steps)
        now = time.monotonic()
        if now - self._shown > _SECONDS_BETWEEN_SHOWS:
            self._view.show(self._status.to_json())
            self._shown = now
