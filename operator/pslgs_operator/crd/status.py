"""The status of a job as the operator writes it, field by field; the API server drops others."""

from collections.abc import Mapping
from typing import Any, Final

from pslgs_operator.crd.openapi import Schema
from pslgs_operator.status.types import ConditionStatus, ConditionType, Phase


def _text(description: str) -> Schema:
    return {"description": description, "type": "string"}


def _number(description: str, width: str = "int32") -> Schema:
    return {"description": description, "type": "integer", "format": width}


def _time(description: str) -> Schema:
    return {"description": description, "type": "string", "format": "date-time"}


def _part(description: str, **fields: Schema) -> Schema:
    return {"description": description, "type": "object", "properties": fields}


_CONDITION: Final = _part(
    "One thing that is true of the job, or not.",
    type=_text(f"What: {', '.join(ConditionType)}."),
    status={**_text("Whether it is true."), "enum": [each.value for each in ConditionStatus]},
    observedGeneration=_number("Generation of the spec that this was found for.", "int64"),
    lastTransitionTime=_time("When status changed last."),
    reason=_text("Why, in one word, for programs."),
    message=_text("Why, in a sentence, and what to do."),
) | {"required": ["type", "status", "lastTransitionTime", "reason", "message"]}

_CONDITIONS: Final = {
    "description": "What is true of the job, and why.",
    "type": "array",
    "items": _CONDITION,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}

_CLIENTS: Final = _part(
    "The clients of the job.",
    expected=_number("Clients that there should be."),
    live=_number("Clients that answer."),
    lost={
        "description": "Names of clients that do not answer, the first 20.",
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-list-type": "atomic",
    },
    lostCount=_number("How many clients do not answer."),
    summary=_text("Live and expected clients, as printed: 3/3."),
)

_TRAINING: Final = _part(
    "How far the training is, and how it does. Numbers with a fraction are texts, rounded for people.",
    epoch=_number("Epoch that runs, from 1."),
    epochs=_number("Epochs that there will be."),
    step=_number("Steps that were applied.", "int64"),
    steps=_number("Steps that there will be.", "int64"),
    epochSummary=_text("Epoch and epochs, as printed: 12/100."),
    progress=_text("Share of the steps that were applied: 42%."),
    loss=_text("Training loss of the last step."),
    accuracy=_text("Accuracy of the last evaluation: 96.1%."),
    deviation=_text("Batch deviation of the last step: how far its labels are from those of all data."),
    deviationExpected=_text("Batch deviation to expect of a uniform draw."),
    deviationBound=_text("Batch deviation that a uniform draw exceeds hardly ever."),
    samplesPerSecond=_text("Samples of all clients together in a second."),
    eta=_text("Time to the end at the present pace: 1h 3m."),
)

_SERVER: Final = _part(
    "Where the server runs.",
    pod=_text("Name of its pod."),
    node=_text("Node of its pod."),
    address=_text("Address that clients dial."),
    restarts=_number("How often it was started anew."),
)

_CHECKPOINT: Final = _part(
    "The newest checkpoint.",
    step=_number("Step from which it goes on.", "int64"),
    time=_time("When it was written."),
)

_MODEL: Final = _part(
    "Where the finished model lies.",
    claimName=_text("Volume claim that holds it."),
    path=_text("Path of the file in that volume."),
)

STATUS: Final[Mapping[str, Any]] = _part(
    "What the operator found.",
    observedGeneration=_number("Generation of the spec that this status is about.", "int64"),
    phase={
        **_text("The conditions in one word, for people; programs read conditions."),
        "enum": [each.value for each in Phase],
    },
    conditions=_CONDITIONS,
    startTime=_time("When pods were first asked for since the last resume; the deadline counts from here."),
    trainingStartTime=_time(
        "When the first step was applied; from then on, what defines the training cannot change."
    ),
    completionTime=_time("When the job became complete or failed."),
    lastHeartbeatTime=_time(
        "When the operator wrote this status last. While the server's pod runs, it does so every 30 seconds, "
        "also without changes: if this time is more than two minutes ago then, the operator is away, and the "
        "status may be outdated."
    ),
    clients=_CLIENTS,
    training=_TRAINING,
    server=_SERVER,
    checkpoint=_CHECKPOINT,
    model=_MODEL,
)
