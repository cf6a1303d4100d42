"""Records of a run: one immutable value per event, written to the journal and observed by metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from pslgs.coordination.effects import ApplyUpdate
from pslgs.sampling.quality import Quality


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A committed step.

    Deviations are L1 distances (0 … 2); they are None if labels are not classes.
    """

    kind: ClassVar[str] = "step"
    time: float
    """Unix time in seconds at which the step was committed."""
    epoch: int
    """Number of the epoch, from 1."""
    step: int
    """Number of the step in the whole run, from 1."""
    attempt: int
    """Number of the attempt that succeeded, from 1."""
    loss: float
    batch_size: int
    deviation: float | None
    deviation_expected: float | None
    deviation_bound: float | None
    """Bound that is exceeded with a probability of at most 1 % (Serfling)."""
    learning_rate: float
    allocation: Mapping[str, tuple[int, int]]
    """Active client -> (offset in its order of the epoch, number of samples)."""
    seconds: Mapping[str, float]
    """Phase (forward_wait, server, backward_wait, update) -> duration in seconds."""
    response_seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Active client -> seconds until its smashed data, and its gradient, were complete."""
    modelled_seconds: float | None = None
    """In a simulation: modelled duration of the step with the assumed links and machines, in seconds."""


@dataclass(frozen=True, slots=True)
class ClientEvaluation:
    """Result of an evaluation on the data of one client."""

    samples: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """An evaluation; loss and accuracy are means over all samples."""

    kind: ClassVar[str] = "evaluation"
    time: float
    epoch: int
    step: int
    samples: int
    loss: float
    accuracy: float | None
    clients: Mapping[str, ClientEvaluation] = field(default_factory=dict)
    """Results by client; empty if the server holds the evaluation data."""
    missing: tuple[str, ...] = ()
    """Clients that were lost during the evaluation and are not included."""
    recalibrated: ClientEvaluation | None = None
    """In a simulation: results over all samples with re-estimated BatchNorm statistics."""


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """A client joined or was lost."""

    kind: ClassVar[str] = "client"
    time: float
    step: int
    client: str
    change: str
    """``joined`` or ``lost``."""
    reason: str
    """The reason as a sentence, for users."""
    samples: int = 0
    cause: str = "other"
    """The reason as one word (``disconnected``, ``timeout`` …), for metrics."""


@dataclass(frozen=True, slots=True)
class AbortRecord:
    """An attempt at a step was aborted; nothing of it was applied."""

    kind: ClassVar[str] = "abort"
    time: float
    epoch: int
    step: int
    attempt: int
    reason: str
    """The reason as a sentence, for users."""
    cause: str = "other"
    """The reason as one word, for metrics."""


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """Samples of lost clients and of skipped steps that were not used in an epoch, by client."""

    kind: ClassVar[str] = "skipped"
    time: float
    epoch: int
    samples: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint was written, or with ``error`` set, could not be written."""

    kind: ClassVar[str] = "checkpoint"
    time: float
    step: int
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class FinishRecord:
    """The run ended."""

    kind: ClassVar[str] = "finish"
    time: float
    step: int
    outcome: str
    """Name of an `ExitCode`, e.g. ``FINISHED``."""
    message: str


Record = (
    StepRecord
    | EvaluationRecord
    | ClientRecord
    | AbortRecord
    | SkippedRecord
    | CheckpointRecord
    | FinishRecord
)


def step_record(  # noqa: PLR0913 - everything that is measured of a step
    update: ApplyUpdate,
    *,
    time: float,
    loss: float,
    learning_rate: float,
    quality: Quality,
    seconds: Mapping[str, float],
    response_seconds: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    modelled_seconds: float | None = None,
) -> StepRecord:
    """Make the record of the step that ``update`` committed; the arguments are as in `StepRecord`."""
    return StepRecord(
        time=time,
        epoch=update.epoch,
        step=update.ticket.step,
        attempt=update.ticket.attempt,
        loss=loss,
        batch_size=sum(share.samples for share in update.shares),
        deviation=quality.deviation,
        deviation_expected=quality.expected,
        deviation_bound=quality.bound,
        learning_rate=learning_rate,
        allocation={share.client: (share.offset, share.samples) for share in update.shares},
        seconds=seconds,
        response_seconds=response_seconds,
        modelled_seconds=modelled_seconds,
    )
