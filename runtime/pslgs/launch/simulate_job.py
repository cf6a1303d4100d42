"""Simulate a job in a run folder, and show its progress."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from pslgs.data.left_out import in_words
from pslgs.launch.data_notes import LINES_LIMIT
from pslgs.launch.progress import ProgressView
from pslgs.launch.run_folder import prepare_folder
from pslgs.server.run_checkpoint import write_model
from pslgs.simulation.api import run_simulation
from pslgs.simulation.result import SimulationResult
from pslgs.simulation.setup import Simulation, Threads
from pslgs.spec.manifest import with_overrides
from pslgs.spec.result_files import BEST_FILE
from pslgs.telemetry.journal import FILE_NAME, Journal
from pslgs.telemetry.records import ClientRecord, Record
from pslgs.telemetry.status import Status, next_status

_SHOW_SECONDS: Final = 0.2


def simulate_in_folder(
    simulation: Simulation, folder: Path, clients: Sequence[str], view: ProgressView
) -> SimulationResult:
    """Simulate a job, and write the files of a run into a folder: manifest, journal and model.

    The numbers of cores are those of a run with the same number of clients on this machine.

    Raises:
        InputError: the job or its data cannot be used.
        OSError: the folder cannot be written.
    """
    cores = prepare_folder(folder, _document(simulation), len(clients))
    options = replace(simulation.options, threads=Threads(cores.server, cores.client))
    with Journal(folder / FILE_NAME) as journal:
        status = Status(
            time.time(),
            simulation.job.spec.epochs,
            len(clients),
            metric=simulation.job.spec.chosen_metric if simulation.job.spec.data.evaluation else "",
            clients={"live": tuple(clients), "lost": ()},
        )
        record, best = _Recorder(journal, view, status).record, simulation.job.spec.checkpoint.best
        result = run_simulation(
            replace(simulation, options=options),
            record,
            partial(write_model, run=folder, name=BEST_FILE) if best else None,
        )
    if result.model is not None:
        write_model(result.model, result.description, folder)
    return result


def _document(simulation: Simulation) -> object:
    """Return the manifest of a simulation; its strategy may be a baseline, which runs do not accept."""
    document = simulation.job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return with_overrides(document, [f"spec.sampling.strategy={simulation.strategy.name}"])


class _Recorder:
    """Writes records into the journal, and shows the status at intervals of at least `_SHOW_SECONDS`."""

    def __init__(self, journal: Journal, view: ProgressView, status: Status) -> None:
        self._journal = journal
        self._view = view
        self._status = status
        self._shown = 0.0
        self._noted = 0

    def record(self, record: Record, steps: int) -> None:
        """Write a record; ``steps`` is the number of steps of the whole simulation."""
        self._journal.append(record)
        if isinstance(record, ClientRecord) and record.left_out:
            self._noted += 1
            if self._noted <= LINES_LIMIT:
                self._view.note(f"{record.client} leaves out {in_words(record.left_out)}")
        self._status = replace(next_status(self._status, record), steps=steps)
        now = time.monotonic()
        if now - self._shown > _SHOW_SECONDS:
            self._view.show(self._status.to_json())
            self._shown = now
