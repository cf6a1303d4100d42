"""What is kept of a finished cell, as JSON and back."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pslgs.comparison.cells import Cell
from pslgs.observability.records import EvaluationRecord
from pslgs.simulation.result import SimulationResult, Steps
from pslgs.simulation.summary import MEASURED

_WHOLE: Final = frozenset(
    {"epoch", "attempt", "batch_size", "active_clients", "largest_share", "bytes_up", "bytes_down"}
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation; accuracies are 0 … 1, None without classes.

    Attributes:
        epoch: Counted from 1.
        step: Steps up to it, counted over all epochs.
        accuracy: Of the model as it is.
        recalibrated: With BatchNorm statistics that were estimated anew; None where they were not.
    """

    epoch: int
    step: int
    accuracy: float | None
    recalibrated: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A finished cell.

    Attributes:
        cell: Which.
        clients: K.
        samples: N.
        sample_bytes: Of one sample as the network takes it.
        pooled: All clients' samples of each class; empty without classes.
        steps: Without what was measured, so that the same cell has the same outcome; NaN stands there.
        evaluations: In their order.
        result: How it ended, an `ExitCode`'s name.
        message: The same in words.
    """

    cell: Cell
    clients: int
    samples: int
    sample_bytes: int
    pooled: tuple[int, ...]
    steps: Steps
    evaluations: tuple[Evaluation, ...]
    result: str
    message: str

    @property
    def epochs(self) -> int:
        """Epochs that were made."""
        return int(self.steps.epoch.max(initial=0))

    @property
    def accuracy(self) -> float | None:
        """Of the last evaluation."""
        return self.evaluations[-1].accuracy if self.evaluations else None

    @property
    def recalibrated(self) -> float | None:
        """The same with BatchNorm statistics that were estimated anew."""
        return self.evaluations[-1].recalibrated if self.evaluations else None


_OUTCOME: Final = TypeAdapter(tuple[Evaluation, ...])
_CELL: Final = TypeAdapter(Cell)


def outcome_of(cell: Cell, result: SimulationResult, modelled_seconds: NDArray[np.float64]) -> Outcome:
    """Keep what matters of a simulation.

    Args:
        cell: Which.
        result: The simulation.
        modelled_seconds: Of each step; (steps,).
    """
    table = {name: getattr(result.steps, name) for name in Steps.__slots__}
    table |= {MEASURED: np.full(len(result.steps), np.nan), "modelled_seconds": modelled_seconds}
    counts = result.label_counts
    return Outcome(
        cell=cell,
        clients=result.clients,
        samples=result.samples,
        sample_bytes=result.sample_bytes,
        pooled=() if counts is None else tuple(counts.sum(axis=0).tolist()),
        steps=Steps(**table),
        evaluations=tuple(map(_evaluation, result.evaluations)),
        result=result.finish.outcome,
        message=result.finish.message,
    )


def to_document(outcome: Outcome) -> dict[str, Any]:
    """Turn an outcome into what JSON can say; what is not known is null."""
    table = {name: column for name, column in outcome.steps.table().items() if name != MEASURED}
    return {
        "cell": _CELL.dump_python(outcome.cell, mode="json"),
        "clients": outcome.clients,
        "samples": outcome.samples,
        "sampleBytes": outcome.sample_bytes,
        "pooled": list(outcome.pooled),
        "result": outcome.result,
        "message": outcome.message,
        "evaluations": _OUTCOME.dump_python(outcome.evaluations, mode="json"),
        "steps": {name: [None if x != x else x for x in column] for name, column in table.items()},  # noqa: PLR0124 - NaN
    }


def from_document(document: dict[str, Any]) -> Outcome:
    """Undo `to_document`.

    Raises:
        ValueError: the document is none of `to_document`; so are `KeyError` and `TypeError` then.
    """
    columns = document["steps"]
    steps: dict[str, Any] = {
        name: np.array(columns[name], dtype=np.int64 if name in _WHOLE else np.float64)
        for name in Steps.__slots__
        if name != MEASURED
    }
    steps[MEASURED] = np.full(len(columns["epoch"]), np.nan)
    return Outcome(
        cell=_CELL.validate_python(document["cell"]),
        clients=document["clients"],
        samples=document["samples"],
        sample_bytes=document["sampleBytes"],
        pooled=tuple(document["pooled"]),
        steps=Steps(**steps),
        evaluations=_OUTCOME.validate_python(document["evaluations"]),
        result=document["result"],
        message=document["message"],
    )


def _evaluation(record: EvaluationRecord) -> Evaluation:
    recalibrated = record.recalibrated.accuracy if record.recalibrated else None
    return Evaluation(record.epoch, record.step, record.accuracy, recalibrated)
