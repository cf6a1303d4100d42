"""Records of a run, one for each event, and their JSON form."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, get_args

from pydantic import TypeAdapter, ValidationError

from pslgs.coordination.messages import ApplyUpdate
from pslgs.json_text import parse_json
from pslgs.sampling.deviation import BatchQuality
from pslgs.telemetry.evaluation_details import EvaluationDetails

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """Metric -> value over these samples, None if they do not define it; empty in journals of 0.1."""


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
    metric: str = ""
    """Metric by which models are compared; empty in journals of 0.1."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """Metric -> value over all samples, None if they do not define it."""
    details: EvaluationDetails | None = None
    """Results by class; None without classes, or if there are too many."""

    @property
    def value(self) -> float | None:
        """Value of the metric by which models are compared; None if it is undefined or not finite."""
        value = self.metrics.get(self.metric)
        return value if value is not None and math.isfinite(value) else None

    @property
    def mean_of_clients(self) -> float | None:
        """Mean of that metric over the clients, each counted once; None if fewer than two have it.

        A client with many samples, or that only claims to have them, determines `value` but not this mean.
        """
        values = [each.metrics.get(self.metric) for each in self.clients.values()]
        known = [value for value in values if value is not None and math.isfinite(value)]
        return sum(known) / len(known) if len(known) > 1 else None


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
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Of a client that joined: files and samples that are no part of its data, by reason (``damaged`` …)."""


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
class WeightsRecord:
    """Initial weights were loaded, before the first step."""

    kind: ClassVar[str] = "weights"
    time: float
    step: int
    message: str
    """What was loaded and what was not, for users."""


@dataclass(frozen=True, slots=True)
class FinishRecord:
    """The run ended."""

    kind: ClassVar[str] = "finish"
    time: float
    step: int
    outcome: str
    """Name of an `ExitCode`, e.g. ``FINISHED``."""
    message: str
    early: bool = False
    """Whether the training is finished before its last epoch, by early stopping."""


Record = (
    StepRecord
    | EvaluationRecord
    | ClientRecord
    | AbortRecord
    | SkippedRecord
    | CheckpointRecord
    | WeightsRecord
    | FinishRecord
)


def step_record(  # noqa: PLR0913 - everything that is measured of a step
    update: ApplyUpdate,
    *,
    time: float,
    loss: float,
    learning_rate: float,
    quality: BatchQuality,
    seconds: Mapping[str, float],
    response_seconds: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    modelled_seconds: float | None = None,
) -> StepRecord:
    """Make the record of the step that ``update`` committed; the arguments are as in `StepRecord`."""
    return StepRecord(
        time=time,
        epoch=update.epoch,
        step=update.exchange.step,
        attempt=update.exchange.attempt,
        loss=loss,
        batch_size=sum(local_batch.samples for local_batch in update.local_batches),
        deviation=quality.deviation,
        deviation_expected=quality.expected,
        deviation_bound=quality.bound,
        learning_rate=learning_rate,
        allocation={
            local_batch.client: (local_batch.offset, local_batch.samples)
            for local_batch in update.local_batches
        },
        seconds=seconds,
        response_seconds=response_seconds,
        modelled_seconds=modelled_seconds,
    )


_ADAPTERS: dict[str, TypeAdapter[Record]] = {cls.kind: TypeAdapter(cls) for cls in get_args(Record)}


def encode(record: Record) -> bytes:
    """Return a record as a JSON object without line breaks, with the field ``kind`` first.

    Numbers that JSON does not have, as in a diverged loss, are written as "nan", "inf" and "-inf".
    """
    document = {"kind": record.kind, **{field.name: getattr(record, field.name) for field in fields(record)}}
    try:
        text = json.dumps(document, allow_nan=False, separators=(",", ":"), default=to_plain)
    except ValueError:  # a number that is not finite, which is rare
        text = json.dumps(to_plain(document), allow_nan=False, separators=(",", ":"))
    return text.encode()


def decode(line: bytes) -> Record:
    """Return the record of a line written by `encode`; unknown fields are ignored.

    Raises:
        ValueError: the line is not a JSON object, its kind is unknown, or a field is missing or invalid.
    """
    document = parse_json(line)
    if not isinstance(document, dict) or str(document.get("kind")) not in _ADAPTERS:
        raise ValueError(f"not a record; its kind must be one of {', '.join(_ADAPTERS)}")
    try:
        return _ADAPTERS[document.pop("kind")].validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def to_plain(value: object) -> object:
    """Convert dataclasses and mappings to dictionaries, tuples to lists, and non-finite numbers to text."""
    if is_dataclass(value):
        return _attributes(value)
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _attributes(value: "DataclassInstance | type[DataclassInstance]") -> dict[str, object]:
    return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
