"""The folder of a comparison, which keeps finished trials so that a second start only computes the others."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pslgs.atomic_file import replacing
from pslgs.comparison.trial import ComparisonOptions, Trial, TrialResult, trial_document, trial_from_document
from pslgs.file_lock import locked
from pslgs.json_text import parse_json
from pslgs.spec.errors import InputError
from pslgs.spec.job import SplitTrainingJob

CPU: Final = "cpu"
"""The device of comparisons that name none, which were made before there was a choice."""

CELLS: Final = "cells"
TIMING: Final = "timing.json"
_RUN_MARK: Final = "metrics.jsonl"
_logger = logging.getLogger(__name__)


def fingerprint(job: SplitTrainingJob, options: ComparisonOptions) -> str:
    """Return a digest of what the result of a trial depends on besides its strategy and seed."""
    simulated = options.simulation
    profile = [[part.profile.model_dump(), part.weight] for part in simulated.profile or ()]
    what = {
        "version": version("pslgs"),
        "job": job.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "profile": profile,
        "server": simulated.server_samples_per_second,
        "scheduleOnly": simulated.schedule_only,
        "recalibration": simulated.recalibration_batches,
        "clients": simulated.client_ids and list(simulated.client_ids),
        "threads": simulated.threads.server,
    }
    if simulated.device != CPU:
        what["device"] = simulated.device
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


class FolderTakenError(InputError):
    """Raised when the folder of a comparison holds a run or another comparison."""


class TrialStore:
    """Keeps one file per finished trial; a file that is cut short does not count."""

    def __init__(self, folder: Path, digest: str) -> None:
        """Create it for a folder and the `fingerprint` of what is compared."""
        self.folder = folder
        self._digest = digest

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Create the folder if it is missing, and remove it again if the block leaves it empty.

        Raises:
            FolderTakenError: it holds a run or another comparison, which would be overwritten.
            InputError: another process computes in it.
            OSError: it cannot be written.
        """
        if (self.folder / _RUN_MARK).exists():
            raise FolderTakenError.at("--output", f"{self.folder} holds a run; name another folder")
        trials = self.folder / CELLS
        missing = [path for path in (trials, *trials.parents) if not path.exists()]
        trials.mkdir(parents=True, exist_ok=True)
        try:
            with self._own(trials):
                self._check_finished()
                yield
        finally:
            for path in missing:
                with suppress(OSError):  # it is not empty, or somebody else removed it
                    path.rmdir()

    @contextmanager
    def _own(self, trials: Path) -> Iterator[None]:
        try:
            with locked(trials):
                yield
        except BlockingIOError as error:
            raise InputError.at(
                "--output",
                f"another process compares in {self.folder}; wait for its end, or name another folder",
            ) from error

    def _check_finished(self) -> None:
        if any(_read(file).get("fingerprint", self._digest) != self._digest for file in self._finished()):
            raise FolderTakenError.at(
                "--output",
                f"{self.folder} holds another comparison (other job, clients, links, threads or version); "
                "name another folder, or remove that one",
            )

    def load(self, trial: Trial) -> TrialResult | None:
        """Return the result of a trial; None if it is not finished."""
        document = _read(self._file(trial))
        if document.get("fingerprint") != self._digest:
            return None
        try:
            return trial_from_document(dict(document))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            _logger.warning("%s is damaged, so it is computed again (%s)", self._file(trial), error)
            return None

    def save(self, result: TrialResult) -> None:
        """Write a result atomically."""
        document = {"fingerprint": self._digest, **trial_document(result)}
        _write(self._file(result.trial), document)

    def measured(self) -> dict[str, float]:
        """Return name -> seconds of computing on this machine, of finished trials."""
        return {
            name: float(seconds)
            for name, seconds in _read(self.folder / TIMING).items()
            if (self.folder / CELLS / f"{name}.json").exists() and isinstance(seconds, int | float)
        }

    def note_measured(self, trial: Trial, seconds: float) -> None:
        """Write how long a trial computed, apart from the reproducible results."""
        _write(self.folder / TIMING, {**self.measured(), trial.name: round(seconds, 3)})

    def _finished(self) -> Iterator[Path]:
        return (self.folder / CELLS).glob("*.json")

    def _file(self, trial: Trial) -> Path:
        return self.folder / CELLS / f"{trial.name}.json"


def all_of(store: TrialStore, trials: Sequence[Trial]) -> list[TrialResult]:
    """Return the results of those trials that are finished."""
    found = [store.load(trial) for trial in trials]
    return [result for result in found if result is not None]


def _read(file: Path) -> Mapping[str, object]:
    try:
        document = parse_json(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write(file: Path, document: Mapping[str, object]) -> None:
    with replacing(file) as new:
        new.write_text(json.dumps(document, allow_nan=False, separators=(",", ":")), encoding="utf-8")
