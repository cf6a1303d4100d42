"""The status of a job: the model that is written, read, and described in the custom resource definition."""

import json
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, ValidationError, computed_field
from pydantic.dataclasses import dataclass

from pslgs_operator.status.conditions import (
    MODEL,
    Condition,
    ConditionStatus,
    ConditionType,
    Int64,
    Moment,
    parse_conditions,
    width,
)

__all__ = [
    "FINISHING",
    "Clients",
    "Condition",
    "ConditionStatus",
    "ConditionType",
    "JobStatus",
    "ModelPlace",
    "Phase",
    "SavedCheckpoint",
    "Server",
    "Training",
]

FINISHING: Final = "Finishing"
"""Reason of a job that is not Ready because all of its work is done."""

Int32 = Annotated[int, width("int32")]
Names = Annotated[tuple[str, ...], Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})]


class Phase(StrEnum):
    """The conditions in one word, for people; programs read the conditions."""

    INVALID = "Invalid"
    PENDING = "Pending"
    RUNNING = "Running"
    DEGRADED = "Degraded"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, config=MODEL)
class Clients:
    """Number of clients, and the clients that were lost."""

    expected: Int32 = 0
    """Number of clients on the matching nodes, including lost ones."""
    live: Int32 = 0
    """Number of clients that take part in the training."""
    lost: Names = ()
    """Names of clients that took part and have not returned; at most 20."""
    lost_count: Int32 = 0
    """Number of clients that took part and have not returned."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def summary(self) -> str:
        """Live and expected clients, as printed by kubectl get: 3/3."""
        return f"{self.live}/{self.expected}"


@dataclass(frozen=True, slots=True, config=MODEL)
class Training:
    """Progress and figures of the training. Numbers with a fraction are texts, rounded for people."""

    epoch: Int32 = 0
    """Number of the current epoch, from 1."""
    epochs: Int32 = 0
    """Number of epochs of the job."""
    step: Int64 = 0
    """Number of steps that were applied. It goes back if the server resumes from an earlier checkpoint."""
    steps: Int64 = 0
    """Estimated number of steps of the whole training with the present clients. It changes with them."""
    progress: str = ""
    """Share of the training that is done, such as 42%: the epochs that have ended, and of the current epoch
    the share of the samples of all clients, lost ones included, that were used. It decreases only if the
    server resumes from an earlier checkpoint."""
    loss: str = ""
    """Mean loss of the last global batch."""
    accuracy: str = ""
    """Accuracy of the last evaluation, such as 96.1%."""
    deviation: str = ""
    """Batch deviation of the last global batch: the L1 distance, 0 to 2, between its label distribution and
    that of all data."""
    deviation_expected: str = ""
    """Expected batch deviation of batches that are drawn uniformly from all data."""
    deviation_bound: str = ""
    """Bound that the batch deviation of uniformly drawn batches exceeds with a probability of at most 1%."""
    samples_per_second: str = ""
    """Number of samples per second of all clients together, over the last steps."""
    eta: str = ""
    """Estimated time until the last step, such as 1h 3m."""
    metric: str = ""
    """Metric by which models are compared, spec.metric or its default."""
    metric_value: str = ""
    """Value of this metric in the last evaluation, such as 96.1% or 0.0180."""
    best_value: str = ""
    """Best value of this metric so far. The model of that evaluation is kept as best.safetensors, unless
    spec.checkpoint.best is false."""
    best_epoch: Int32 | None = None
    """Number of the epoch after which the best value was measured."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def epoch_summary(self) -> str:
        """Current epoch and number of epochs, as printed by kubectl get: 12/100."""
        return f"{self.epoch}/{self.epochs}"


@dataclass(frozen=True, slots=True, config=MODEL)
class Server:
    """The server's pod and address."""

    pod: str = ""
    """Name of the server's newest pod."""
    node: str = ""
    """Name of the node of this pod."""
    address: str = ""
    """Address and port that clients connect to."""
    restarts: Int32 = 0
    """Number of times that the server was started again in a new pod."""


@dataclass(frozen=True, slots=True, config=MODEL)
class SavedCheckpoint:
    """The newest checkpoint."""

    step: Int64
    """Number of the step from which a new server resumes."""
    time: Moment
    """Time at which the checkpoint was written."""


@dataclass(frozen=True, slots=True, config=MODEL)
class ModelPlace:
    """Location of the trained model."""

    claim_name: str
    """Name of the PersistentVolumeClaim that contains the model."""
    path: str = ""
    """Path of the model's file in this volume."""


def _by_type(given: object) -> object:
    return parse_conditions({"conditions": given}) if isinstance(given, list) else given


Conditions = Annotated[
    Mapping[ConditionType, Condition],
    BeforeValidator(_by_type),
    PlainSerializer(lambda conditions: list(conditions.values()), return_type=list[Condition]),
    Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]


@dataclass(frozen=True, slots=True, config=MODEL)
class JobStatus:
    """Observed state of the job, written by the operator."""

    observed_generation: Int64 = 0
    """Generation of the job that this status was computed for."""
    conditions: Conditions = field(default_factory=dict)
    """Conditions of the job; their reasons are explained in docs/reference/status.md."""
    start_time: Moment | None = None
    """Time at which the server's Job was created, after the last resume; activeDeadlineSeconds counts from
    it."""
    training_start_time: Moment | None = None
    """Time at which the first step was seen; from then on, the fields that define the training are
    immutable."""
    completion_time: Moment | None = None
    """Time at which the job became Complete or Failed."""
    last_heartbeat_time: Moment | None = None
    """Time at which the operator last wrote this status. While the server's pod runs, the operator writes it
    every 30 seconds even if nothing changed: if this time is more than two minutes ago then, the operator is
    not running, and the status may be outdated."""
    clients: Clients = field(default_factory=Clients)
    training: Training = field(default_factory=Training)
    server: Server = field(default_factory=Server)
    checkpoint: SavedCheckpoint | None = None
    model: ModelPlace | None = None

    def holds(self, kind: ConditionType) -> bool:
        """Return whether a condition is True."""
        condition = self.conditions.get(kind)
        return condition is not None and condition.status is ConditionStatus.TRUE

    @property
    def finished(self) -> bool:
        """Whether the job has ended; it does not start again."""
        return self.holds(ConditionType.COMPLETE) or self.holds(ConditionType.FAILED)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def phase(self) -> Phase:
        """Summary of the conditions in one word, for people; programs should read the conditions."""
        accepted = self.conditions.get(ConditionType.ACCEPTED)
        refused = accepted is not None and accepted.status is ConditionStatus.FALSE
        said = (
            (Phase.COMPLETE, self.holds(ConditionType.COMPLETE)),
            (Phase.FAILED, self.holds(ConditionType.FAILED)),
            (Phase.INVALID, refused),
            (Phase.SUSPENDED, self.holds(ConditionType.SUSPENDED)),
            (Phase.DEGRADED, self.holds(ConditionType.DEGRADED)),
            (Phase.RUNNING, self.holds(ConditionType.READY) or self._is_finishing),
        )
        return next((phase for phase, holds in said if holds), Phase.PENDING)

    @property
    def _is_finishing(self) -> bool:
        ready = self.conditions.get(ConditionType.READY)
        return ready is not None and ready.reason == FINISHING

    @classmethod
    def parse(cls, status: Mapping[str, Any]) -> Self:
        """Read the status of an object; what is missing or of another type is not known."""
        return _parsed(json.dumps(status))  # type: ignore[return-value]

    def to_json(self) -> dict[str, Any]:
        """Write it for the API server; what is not known is left out."""
        document = _ADAPTER.dump_python(self, mode="json", by_alias=True)
        return {
            name: _filled(value) if isinstance(value, dict) else value
            for name, value in document.items()
            if name in _ALWAYS or value not in (None, _EMPTY[name])
        }


_REMEMBERED: Final = 1024
"""Number of statuses that are kept parsed: most reconciles read the one that they read before."""


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> JobStatus:
    while True:
        try:
            return _ADAPTER.validate_json(text, strict=True)
        except ValidationError as error:
            wrong = [each["loc"] for each in error.errors(include_url=False, include_input=False)]
        document = json.loads(text)
        for location in wrong:
            _drop(document, location)
        before, text = text, json.dumps(document)
        if text == before:  # such as a text that is no Unicode, which has no location
            return JobStatus()


_ALWAYS: Final = ("observedGeneration", "phase", "conditions")
_ADAPTER: Final = TypeAdapter(JobStatus)
_EMPTY: Final = _ADAPTER.dump_python(JobStatus(), mode="json", by_alias=True)


def _filled(part: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out empty texts and lists, and what is not known, but not zeros."""
    return {name: value for name, value in part.items() if value not in ("", [], None)}


def _drop(document: dict[str, Any], location: tuple[int | str, ...]) -> None:
    """Remove the field at a location, or the part that lacks it."""
    part = document.get(str(location[0])) if location else None
    if isinstance(part, dict) and len(location) > 1 and location[1] in part:
        part.pop(str(location[1]))
    elif location:
        document.pop(str(location[0]), None)
