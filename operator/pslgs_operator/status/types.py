"""The status of a job as stored in the API."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic.alias_generators import to_camel

from pslgs_operator.fields import mapping, moment, timestamp, whole
from pslgs_operator.status.conditions import Condition, ConditionStatus, ConditionType, parse_conditions


class Record(Protocol):
    """A dataclass of integers, texts and tuples of texts, each with a default."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_Kind = TypeVar("_Kind", bound=Record)


def written(record: Record) -> dict[str, Any]:
    """Write a record; empty texts and lists are left out, zeros are not."""
    values = ((to_camel(each.name), getattr(record, each.name)) for each in fields(record))
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values
        if value not in {"", ()}
    }


def read(kind: type[_Kind], document: object) -> _Kind:
    """Read a record; what is missing, or of another type, is what it is by default."""
    return kind(**dict(_values(kind, mapping(document))))


def known(**values: object) -> dict[str, Any]:
    """Keep the values that are known, under names in camelCase."""
    return {to_camel(name): value for name, value in values.items() if value is not None}


def _values(kind: type[Record], document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of the fields' types
    for each in fields(kind):
        value, wanted = document.get(to_camel(each.name)), type(each.default)
        if wanted is tuple and isinstance(value, list):
            yield each.name, tuple(item for item in value if isinstance(item, str))
        elif type(value) is wanted:
            yield each.name, value


__all__ = [
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


FINISHING = "Finishing"
"""Reason of a job that is not Ready because all of its work is done."""


class Phase(StrEnum):
    """The conditions in one word, for people; programs read the conditions."""

    INVALID = "Invalid"
    PENDING = "Pending"
    RUNNING = "Running"
    DEGRADED = "Degraded"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Clients:
    """The job's clients; ``lost`` names at most the first 20 of ``lost_count``."""

    expected: int = 0
    live: int = 0
    lost: tuple[str, ...] = ()
    lost_count: int = 0


@dataclass(frozen=True, slots=True)
class Training:
    """The training's figures, as printed; empty where not known."""

    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    progress: str = ""
    loss: str = ""
    accuracy: str = ""
    deviation: str = ""
    deviation_expected: str = ""
    deviation_bound: str = ""
    samples_per_second: str = ""
    eta: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is; ``address`` is the one that clients dial."""

    pod: str = ""
    node: str = ""
    address: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """The last checkpoint."""

    step: int
    time: datetime


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """Where the finished model lies: a file in a volume claim."""

    claim_name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Everything that the operator says of a job; times have no fractions of a second."""

    observed_generation: int = 0
    conditions: Mapping[ConditionType, Condition] = field(default_factory=dict)
    start_time: datetime | None = None
    training_start_time: datetime | None = None
    completion_time: datetime | None = None
    last_heartbeat_time: datetime | None = None
    clients: Clients = field(default_factory=Clients)
    training: Training = field(default_factory=Training)
    server: Server = field(default_factory=Server)
    checkpoint: SavedCheckpoint | None = None
    model: ModelPlace | None = None

    def holds(self, kind: ConditionType) -> bool:
        """Tell whether a condition is True."""
        condition = self.conditions.get(kind)
        return condition is not None and condition.status is ConditionStatus.TRUE

    @property
    def finished(self) -> bool:
        """Whether the job is over, for good or ill; it is never begun again."""
        return self.holds(ConditionType.COMPLETE) or self.holds(ConditionType.FAILED)

    @property
    def phase(self) -> Phase:
        """Derive the one word from the conditions."""
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
    def parse(cls, status: Mapping[str, Any]) -> "JobStatus":
        """Read the status of an object; what is missing is not known."""
        saved, model = mapping(status, "checkpoint"), read(ModelPlace, mapping(status, "model"))
        step, time = whole(saved, "step"), moment(saved, "time")
        return cls(
            observed_generation=whole(status, "observedGeneration") or 0,
            conditions=parse_conditions(status),
            start_time=moment(status, "startTime"),
            training_start_time=moment(status, "trainingStartTime"),
            completion_time=moment(status, "completionTime"),
            last_heartbeat_time=moment(status, "lastHeartbeatTime"),
            clients=read(Clients, mapping(status, "clients")),
            training=read(Training, mapping(status, "training")),
            server=read(Server, mapping(status, "server")),
            checkpoint=None if step is None or time is None else SavedCheckpoint(step, time),
            model=model if model.claim_name else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Write it as the API server is given it; what is not known is left out."""
        clients, training, saved = self.clients, self.training, self.checkpoint
        members = {**written(clients), "summary": f"{clients.live}/{clients.expected}"}
        figures = {**written(training), "epochSummary": f"{training.epoch}/{training.epochs}"}
        return known(
            observed_generation=self.observed_generation,
            phase=self.phase.value,
            conditions=[each.to_json() for each in self.conditions.values()],
            start_time=timestamp(self.start_time),
            training_start_time=timestamp(self.training_start_time),
            completion_time=timestamp(self.completion_time),
            last_heartbeat_time=timestamp(self.last_heartbeat_time),
            clients=None if clients == Clients() else members,
            training=None if training == Training() else figures,
            server=None if self.server == Server() else written(self.server),
            checkpoint=saved and {"step": saved.step, "time": timestamp(saved.time)},
            model=self.model and written(self.model),
        )
