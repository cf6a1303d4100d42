"""The state of a run as `/status` shows it: the operator, the live progress and scripts read it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import reduce
from typing import Any, NamedTuple, assert_never

from pslgs.observability.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
)
from pslgs.observability.speed import Speed
from pslgs.spec.exit_codes import ExitCode


class Phase(StrEnum):
    """What a run is doing."""

    STARTING = "Starting"
    WAITING = "Waiting"
    """For clients."""
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    FINISHED = "Finished"
    INTERRUPTED = "Interrupted"
    """And can be resumed."""
    FAILED = "Failed"


_KEPT_FIGURES = (
    "epoch",
    "step",
    "loss",
    "accuracy",
    "deviation",
    "deviation_expected",
    "deviation_bound",
)


class SavedCheckpoint(NamedTuple):
    """The last checkpoint that was written, and when (Unix time in seconds)."""

    step: int
    time: float


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run is.  Figures are None while they are not known, or where the task has none.

    Attributes:
        started: Unix time in seconds at which this process began.
        epochs: Epochs the job trains for.
        steps: Steps of all epochs together, as far as known; 0 before the first schedule.
        clients: State (live, lost) -> clients, in order of their names.
        accuracy: Of the last evaluation, 0 … 1.
        deviation: Of the last global batch, L1 distance 0 … 2; its expectation and 99 % bound likewise.
        heartbeat: Unix time in seconds at which the event loop last ran.
        message: What a user should know at this moment; the next step clears it.
        checkpoint_failure: Why the last checkpoint could not be written; the next one that can clears it.
        notice: What a user should know all the time, where there is nothing more urgent.
    """

    started: float
    epochs: int
    clients_expected: int
    steps: int = 0
    phase: Phase = Phase.STARTING
    epoch: int = 0
    step: int = 0
    loss: float | None = None
    accuracy: float | None = None
    deviation: float | None = None
    deviation_expected: float | None = None
    deviation_bound: float | None = None
    clients: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"live": (), "lost": ()})
    speed: Speed = field(default_factory=Speed)
    last_checkpoint: SavedCheckpoint | None = None
    heartbeat: float = 0.0
    message: str = ""
    checkpoint_failure: str = ""
    notice: str = ""
    exit_code: ExitCode | None = None

    def ended(self, exit_code: ExitCode, message: str) -> "Status":
        """Return the status of a run that has ended so."""
        phases = {ExitCode.FINISHED: Phase.FINISHED, ExitCode.INTERRUPTED: Phase.INTERRUPTED}
        return replace(self, phase=phases.get(exit_code, Phase.FAILED), message=message, exit_code=exit_code)

    @property
    def progress(self) -> float:
        """The committed part of all steps, 0 … 1."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the last step at the speed of the last ones; None unless it is going on."""
        seconds = self.speed.seconds_per_step
        if seconds is None or not self.steps or self.exit_code is not None:
            return None
        return max(0, self.steps - self.step) * seconds

    def to_json(self) -> dict[str, object]:
        """Return what `/status` answers; figures that are not finite become null."""
        checkpoint = self.last_checkpoint
        return {
            "phase": self.phase.value,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "step": self.step,
            "steps": self.steps,
            "progress": self.progress,
            "etaSeconds": self.eta_seconds,
            "loss": _finite(self.loss),
            "accuracy": _finite(self.accuracy),
            "deviation": _finite(self.deviation),
            "deviationExpected": _finite(self.deviation_expected),
            "deviationBound": _finite(self.deviation_bound),
            "samplesPerSecond": self.speed.samples_per_second,
            "clients": {state: list(names) for state, names in self.clients.items()},
            "clientsExpected": self.clients_expected,
            "lastCheckpoint": checkpoint._asdict() if checkpoint else None,
            "heartbeat": self.heartbeat,
            "message": self.message or self.checkpoint_failure or self.notice,
            "notice": self.notice,
            "exitCode": None if self.exit_code is None else int(self.exit_code),
            "started": self.started,
        }


def next_status(status: Status, record: Record) -> Status:
    """Compute the status after what a record tells."""
    match record:
        case StepRecord():
            status = _after_step(status, record)
        case EvaluationRecord():
            status = replace(status, accuracy=record.accuracy)
        case ClientRecord():
            status = replace(status, clients=_after_change(status.clients, record))
        case CheckpointRecord():
            status = _after_checkpoint(status, record)
        case FinishRecord():
            status = status.ended(ExitCode[record.outcome], record.message)
        case AbortRecord() | SkippedRecord():
            pass
        case _:
            assert_never(record)
    return status


def kept_figures(status: Status) -> dict[str, float | None]:
    """Return the figures that a checkpoint keeps, as JSON, so that `resumed_status` needs no old records."""
    return {name: _finite(getattr(status, name)) for name in _KEPT_FIGURES}


def resumed_status(
    fresh: Status, records: Iterable[Record], figures: Mapping[str, Any] | None = None
) -> Status:
    """Compute the status of a run that goes on; its clients and its speed are not known yet.

    Args:
        fresh: The status of the process.
        records: What is known of the run's past, the oldest first.
        figures: `kept_figures` of the checkpoint, older than ``records``.
    """
    known = {name: figures[name] for name in _KEPT_FIGURES if name in figures} if figures else {}
    last = reduce(next_status, records, replace(fresh, **known))
    kept = {name: getattr(last, name) for name in (*_KEPT_FIGURES, "last_checkpoint")}
    return replace(fresh, **kept)


def _after_step(status: Status, record: StepRecord) -> Status:
    message = (
        "" if math.isfinite(record.loss) else "the training loss is not a number; lower the learning rate"
    )
    return replace(
        status,
        phase=Phase.TRAINING,
        epoch=record.epoch,
        step=record.step,
        loss=record.loss,
        deviation=record.deviation,
        deviation_expected=record.deviation_expected,
        deviation_bound=record.deviation_bound,
        speed=status.speed.after(record.time, record.batch_size),
        message=message,
    )


def _after_change(clients: Mapping[str, tuple[str, ...]], record: ClientRecord) -> dict[str, tuple[str, ...]]:
    others = {
        state: tuple(name for name in names if name != record.client) for state, names in clients.items()
    }
    state = "lost" if record.change == "lost" else "live"
    return {**others, state: tuple(sorted((*others.get(state, ()), record.client)))}


def _after_checkpoint(status: Status, record: CheckpointRecord) -> Status:
    if record.error is None:
        saved = SavedCheckpoint(record.step, record.time)
        return replace(status, last_checkpoint=saved, checkpoint_failure="")
    failure = f"the checkpoint of step {record.step} could not be written: {record.error}"
    return replace(status, checkpoint_failure=failure)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
