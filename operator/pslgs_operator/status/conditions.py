"""Conditions, as the API conventions have them."""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from pslgs_operator.fields import mappings, moment, text, timestamp, whole
from pslgs_operator.text import cut, word

_LONGEST_MESSAGE: Final = 4000
"""Bytes; the API allows eight times as many, but nobody reads them."""

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ConditionType(StrEnum):
    """What can be true of a job; Reconciling and Stalled are those of kstatus, which Flux and others read."""

    ACCEPTED = "Accepted"
    READY = "Ready"
    DEGRADED = "Degraded"
    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class ConditionStatus(StrEnum):
    """Whether it is."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


MODEL: Final = ConfigDict(
    alias_generator=to_camel, populate_by_name=True, extra="ignore", use_attribute_docstrings=True
)
"""Configuration of the parts of a status: camelCase names, descriptions from docstrings."""


def width(name: str) -> WithJsonSchema:
    """Describe an integer of this width; the operator writes what servers report, without checking it."""
    return WithJsonSchema({"type": "integer", "format": name})


def _utc(given: datetime) -> datetime:
    known = given if given.tzinfo else given.replace(tzinfo=UTC)
    return known.astimezone(UTC).replace(microsecond=0)


Int64 = Annotated[int, width("int64")]
Moment = Annotated[
    datetime,
    AfterValidator(_utc),
    PlainSerializer(timestamp, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


@dataclass(frozen=True, slots=True, config=MODEL)
class Condition:
    """One aspect of the job's state, with fields as in the Kubernetes API conventions."""

    type: Annotated[
        ConditionType,
        WithJsonSchema({"type": "string"}),
        Field(description=f"Type of the condition: {', '.join(ConditionType)}."),
    ]
    status: ConditionStatus
    """Status of the condition."""
    reason: str
    """Reason for the last change of the status, in one word, for programs."""
    message: str
    """Details for people: what was observed, and what to do about it."""
    observed_generation: Int64
    """Generation of the job that the condition was computed for."""
    last_transition_time: Moment
    """Time at which the status of the condition last changed."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """What one reconcile found about one condition."""

    status: ConditionStatus
    reason: str
    message: str = ""


Conditions = Mapping[ConditionType, Condition]


def with_updates(
    old: Conditions, findings: Mapping[ConditionType, ConditionUpdate], generation: int, now: datetime
) -> dict[ConditionType, Condition]:
    """Compute the conditions of a generation; a transition time changes only with its status."""
    return {
        **old,
        **{kind: _found(kind, old.get(kind), each, generation, now) for kind, each in findings.items()},
    }


def parse_conditions(status: Mapping[str, Any]) -> dict[ConditionType, Condition]:
    """Read the conditions that are known here."""
    return {each.type: each for each in _parsed(mappings(status, "conditions"))}


def _found(
    kind: ConditionType, old: Condition | None, finding: ConditionUpdate, generation: int, now: datetime
) -> Condition:
    message = cut(finding.message, _LONGEST_MESSAGE)
    since = now if old is None or old.status is not finding.status else old.last_transition_time
    return Condition(kind, finding.status, word(finding.reason), message, generation, since)


def _parsed(documents: Iterable[Mapping[str, Any]]) -> Iterable[Condition]:
    for each in documents:
        kind, status = text(each, "type"), text(each, "status")
        if kind in list(ConditionType) and status in list(ConditionStatus):
            yield Condition(
                type=ConditionType(kind),
                status=ConditionStatus(status),
                reason=text(each, "reason"),
                message=text(each, "message"),
                observed_generation=whole(each, "observedGeneration") or 0,
                last_transition_time=moment(each, "lastTransitionTime") or _LONG_AGO,
            )
