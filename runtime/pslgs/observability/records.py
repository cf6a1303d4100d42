"""What a run tells about itself: one record for each thing that happened, all of them plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from pslgs.coordination.effects import ApplyUpdate
from pslgs.sampling.quality import Quality


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A committed step.  Deviations are L1 distances (0 … 2); None where the task has no classes."""

    kind: ClassVar[str] = "step"
    time: float
    """Unix time in seconds at which the step was committed."""
    epoch: int
    """Counted from 1."""
    step: int
    """Steps committed so far in the whole run, counted from 1."""
    attempt: int
    """The attempt that succeeded, counted from 1."""
    loss: float
    batch_size: int
    deviation: float | None
    deviation_expected: float | None
    deviation_bound: float | None
    """Exceeded with probability at most 1 % (Serfling)."""
    learning_rate: float
    allocation: Mapping[str, tuple[int, int]]
    """Active client -> (offset into its epoch's order, samples)."""
    seconds: Mapping[str, float]
    """Phase -> duration: forward_wait, server, backward_wait, update."""
    response_seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Active client -> time until its smashed data, its gradient were complete."""
    modelled_seconds: float | None = None
    """Of a simulation: what the step would have taken over the links and machines that were assumed."""


@dataclass(frozen=True, slots=True)
class ClientEvaluation:
    """How well the model does on one client's evaluation data."""

    samples: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """An evaluation; pooled figures weigh every sample alike."""

    kind: ClassVar[str] = "evaluation"
    time: float
    epoch: int
    step: int
    samples: int
    loss: float
    accuracy: float | None
    clients: Mapping[str, ClientEvaluation] = field(default_factory=dict)
    """Empty where the evaluation data are at the server."""
    missing: tuple[str, ...] = ()
    """Clients that were lost meanwhile and are left out."""
    recalibrated: ClientEvaluation | None = None
    """Of a simulation: the pooled figures with BatchNorm statistics that were estimated anew."""


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """A client joined or was lost."""

    kind: ClassVar[str] = "client"
    time: float
    step: int
    client: str
    change: str
    """joined | lost"""
    reason: str
    """A sentence for people."""
    samples: int = 0
    cause: str = "other"
    """The reason as one word, for metrics: disconnected, timeout …"""


@dataclass(frozen=True, slots=True)
class AbortRecord:
    """An attempt at a step was given up; nothing of it was applied."""

    kind: ClassVar[str] = "abort"
    time: float
    epoch: int
    step: int
    attempt: int
    reason: str
    """A sentence for people."""
    cause: str = "other"
    """The reason as one word, for metrics."""


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """Samples of lost clients that an epoch ended without."""

    kind: ClassVar[str] = "skipped"
    time: float
    epoch: int
    samples: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint was written, or (with an error) could not be."""

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
    """An `ExitCode`'s name, e.g. FINISHED."""
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
