"""The state of a run as served at /status, and its throughput."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, NamedTuple, assert_never

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.metrics import is_better
from pslgs.spec.server_phase import ServerPhase
from pslgs.telemetry.client_view import ClientNames, FaultView, NoClients, no_faults
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
    WeightsRecord,
)

WINDOW = 50
"""Number of steps over which the throughput is measured."""

_OF_THE_METRIC = ("metric_value", "best_value", "best_epoch")
"""Fields that mean nothing once another metric is chosen."""


class _KeptFigures(TypedDict, total=False):
    """Fields of `Status` that a checkpoint keeps."""

    metric: str
    epoch: int
    step: int
    loss: float | None
    accuracy: float | None
    deviation: float | None
    deviation_expected: float | None
    deviation_bound: float | None
    metric_value: float | None
    best_value: float | None
    best_epoch: int | None


_KEPT_FIGURES = tuple(name for name in _KeptFigures.__annotations__ if name != "metric")
_FIGURES = TypeAdapter(_KeptFigures)


@dataclass(frozen=True, slots=True)
class Throughput:
    """Times of the last committed steps; the time between steps includes waits.

    Attributes:
        commits: Unix time in seconds and number of samples of each step, the oldest first.  Only the time
            of the oldest is used.
    """

    commits: tuple[tuple[float, int], ...] = ()

    def after(self, time: float, samples: int) -> "Throughput":
        """Return the throughput after another step; the oldest step of a full window is dropped."""
        return replace(self, commits=(*self.commits, (time, samples))[-WINDOW - 1 :])

    @property
    def samples_per_second(self) -> float | None:
        """Samples per second; None before the second step."""
        return sum(samples for _, samples in self.commits[1:]) / self._seconds if self._seconds else None

    @property
    def seconds_per_step(self) -> float | None:
        """Mean seconds per step; None before the second step."""
        return self._seconds / (len(self.commits) - 1) if self._seconds else None

    @property
    def _seconds(self) -> float:
        return max(0.0, self.commits[-1][0] - self.commits[0][0]) if self.commits else 0.0


class SavedCheckpoint(NamedTuple):
    """Step of a checkpoint, and the Unix time in seconds at which it was written."""

    step: int
    time: float


@dataclass(frozen=True, slots=True)
class Status:
    """Status of a run.  Values are None as long as they are unknown, or if the job has none.

    Attributes:
        started: Unix time in seconds at which this process started.
        epochs: Number of epochs of the job.
        clients_expected: Number of clients that the job expects.
        fraction: Fraction of the training that is done, see `Progress.fraction`.
        steps: Estimated number of steps in all epochs; 0 before the first schedule.
        phase: Phase of the run.
        epoch: Number of the current epoch, from 1; 0 before the first step.
        step: Number of committed steps.
        loss: Mean loss of the last global batch.
        accuracy: Accuracy of the last evaluation, 0 … 1.
        metric: Metric by which models are compared; empty without evaluations.
        metric_value: Its value in the last evaluation.
        best_value: Its best value so far.
        best_epoch: Epoch after which that was measured.
        deviation: Batch deviation of the last global batch, L1 distance 0 … 2.
        deviation_expected: Expected value of this deviation.
        deviation_bound: Bound that this deviation exceeds with a probability of at most 1 %.
        clients: State (``live``, ``lost``, ``excluded``) -> names of the clients in this state, sorted.
        faults: Returns what clients did wrong, the newest first.
        throughput: Throughput over the last steps.
        last_checkpoint: The last checkpoint that was written.
        heartbeat: Unix time in seconds at which the event loop last ran.
        message: Message for the user; cleared by the next step.
        checkpoint_failure: Reason for which the last checkpoint could not be written; cleared by the next
            one that is written.
        notice: Permanent message for the user, shown if there is no other message.
        job_uid: The uid of the SplitTrainingJob; empty outside of a cluster.
        exit_code: Exit code of the process; None until the run has ended.
        stopped_early: Whether the training has finished before its last epoch, by early stopping.
    """

    started: float
    epochs: int
    clients_expected: int
    fraction: float | None = None
    steps: int = 0
    phase: ServerPhase = ServerPhase.STARTING
    epoch: int = 0
    step: int = 0
    loss: float | None = None
    accuracy: float | None = None
    metric: str = ""
    metric_value: float | None = None
    best_value: float | None = None
    best_epoch: int | None = None
    deviation: float | None = None
    deviation_expected: float | None = None
    deviation_bound: float | None = None
    clients: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: ClientNames(NoClients()))
    faults: FaultView = no_faults
    throughput: Throughput = field(default_factory=Throughput)
    last_checkpoint: SavedCheckpoint | None = None
    heartbeat: float = 0.0
    message: str = ""
    checkpoint_failure: str = ""
    notice: str = ""
    job_uid: str = ""
    exit_code: ExitCode | None = None
    stopped_early: bool = False

    def ended(self, exit_code: ExitCode, message: str) -> "Status":
        """Return the status after the end of the run."""
        phases = {ExitCode.FINISHED: ServerPhase.FINISHED, ExitCode.INTERRUPTED: ServerPhase.INTERRUPTED}
        return replace(
            self, phase=phases.get(exit_code, ServerPhase.FAILED), message=message, exit_code=exit_code
        )

    @property
    def progress(self) -> float:
        """Fraction of the training that is done, 0 … 1; of the steps, as long as only those are known."""
        if self.exit_code is ExitCode.FINISHED:
            return 1.0
        if self.fraction is not None:
            return self.fraction
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Estimated seconds to the last step, at the recent throughput; None if unknown or after the end."""
        seconds = self.throughput.seconds_per_step
        if seconds is None or not self.steps or self.exit_code is not None:
            return None
        return max(0, self.steps - self.step) * seconds

    def to_json(self) -> dict[str, object]:
        """Return the JSON document of `/status`; numbers that are not finite become null."""
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
            "metric": self._metric_json(),
            "deviation": _finite(self.deviation),
            "deviationExpected": _finite(self.deviation_expected),
            "deviationBound": _finite(self.deviation_bound),
            "samplesPerSecond": self.throughput.samples_per_second,
            "clients": {state: list(names) for state, names in self.clients.items()},
            "clientFaults": [fault._asdict() for fault in self.faults()],
            "clientsExpected": self.clients_expected,
            "lastCheckpoint": checkpoint._asdict() if checkpoint else None,
            "heartbeat": self.heartbeat,
            "message": self.message or self.checkpoint_failure or self.notice,
            "notice": self.notice,
            "exitCode": None if self.exit_code is None else int(self.exit_code),
            "stoppedEarly": self.stopped_early,
            "started": self.started,
            "jobUid": self.job_uid,
        }

    def _metric_json(self) -> dict[str, object] | None:
        if not self.metric:
            return None
        return {
            "name": self.metric,
            "value": _finite(self.metric_value),
            "best": _finite(self.best_value),
            "bestEpoch": self.best_epoch,
        }


def next_status(status: Status, record: Record) -> Status:
    """Return the status after a record."""
    match record:
        case StepRecord():
            status = _after_step(status, record)
        case EvaluationRecord():
            status = _after_evaluation(status, record)
        case CheckpointRecord():
            status = _after_checkpoint(status, record)
        case FinishRecord():
            ended = status.ended(_exit_code(record), record.message)
            status = replace(ended, stopped_early=record.early)
        case WeightsRecord(message=message):
            status = replace(status, notice="; ".join(filter(None, (status.notice, message))))
        case ClientRecord() | AbortRecord() | SkippedRecord():
            pass
        case _:
            assert_never(record)
    return status


def _exit_code(record: FinishRecord) -> ExitCode:
    """Return the exit code of an end; that of an internal error if another version named it."""
    return ExitCode.__members__.get(record.outcome, ExitCode.INTERNAL_ERROR)


def kept_figures(status: Status) -> dict[str, float | str | None]:
    """Return the figures that a checkpoint keeps, as JSON, so that `resumed_status` needs no old records."""
    return {"metric": status.metric, **{name: _finite(getattr(status, name)) for name in _KEPT_FIGURES}}


def resumed_status(fresh: Status, records: Iterable[Record], figures: object = None) -> Status:
    """Return the initial status of a resumed run; its clients and its throughput are not known yet.

    Args:
        fresh: Status of a new run of the job in this process.
        records: Known records of the run, the oldest first.
        figures: `kept_figures` of the checkpoint, which is older than ``records``; anything else has none.
    """
    kept_before = _read_figures(figures)
    known: dict[str, Any] = {name: value for name, value in kept_before.items() if name != "metric"}
    if kept_before and kept_before.get("metric") != fresh.metric:
        known |= dict.fromkeys(_OF_THE_METRIC)
    last = reduce(next_status, records, replace(fresh, **known))
    kept = {name: getattr(last, name) for name in (*_KEPT_FIGURES, "last_checkpoint")}
    return replace(fresh, **kept)


def _read_figures(figures: object) -> _KeptFigures:
    try:
        return _FIGURES.validate_python(figures)
    except ValidationError:
        return {}


def _after_step(status: Status, record: StepRecord) -> Status:
    return replace(
        status,
        phase=ServerPhase.TRAINING,
        epoch=record.epoch,
        step=record.step,
        loss=record.loss,
        deviation=record.deviation,
        deviation_expected=record.deviation_expected,
        deviation_bound=record.deviation_bound,
        throughput=status.throughput.after(record.time, record.batch_size),
        message="",
    )


def _after_evaluation(status: Status, record: EvaluationRecord) -> Status:
    value, metric = record.value, record.metric or status.metric
    measured = replace(status, accuracy=record.accuracy, metric=metric, metric_value=value)
    best = status.best_value if metric == status.metric else None
    if value is None or (best is not None and not is_better(metric, value, best)):
        return measured
    return replace(measured, best_value=value, best_epoch=record.epoch)


def _after_checkpoint(status: Status, record: CheckpointRecord) -> Status:
    if record.error is None:
        saved = SavedCheckpoint(record.step, record.time)
        return replace(status, last_checkpoint=saved, checkpoint_failure="")
    failure = f"the checkpoint of step {record.step} could not be written: {record.error}"
    return replace(status, checkpoint_failure=failure)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
