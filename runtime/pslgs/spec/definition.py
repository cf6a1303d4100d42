"""The definition of a training: the fields of a job that must not change once it has started."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeGuard

from pydantic.alias_generators import to_snake

from pslgs.spec.errors import Violation
from pslgs.spec.job import JobSpec
from pslgs.spec.optimizer import EPOCHS_OF_SCHEDULES, ScheduleName

DEFINING_FIELDS: Final = (
    "model",
    "data.train",
    "data.classes",
    "data.transforms",
    "data.range",
    "data.window",
    "data.layout",
    "data.inputType",
    "data.length",
    "data.standardize",
    "data.inputs",
    "data.onDamagedSample",
    "data.partition",
    "loss",
    "lossOptions",
    "epochs",
    "optimizer",
    "ema",
    "precision",
    "sampling",
    "transport.compression",
)
"""Paths below ``spec`` of the fields on which the result of a step depends.

``epochs`` may change unless the learning rate depends on it, as with the schedules Cosine and OneCycle.
"""

_REMEDY: Final = (
    "it cannot change once training has started: set it back, or start a new training (a new job, or another "
    "output folder)"
)
_SHOWN_LENGTH: Final = 80
_UNSET: Final = object()

_Difference = tuple[str, object, object]
"""Path, value before, value now."""


def training_definition(spec: JobSpec) -> dict[str, Any]:
    """Return the fields that define the training of ``spec``, defaults included, as JSON values."""
    return dump_fields(spec, _fields_of(spec), exclude_defaults=False)


def definition_changes(before: object, spec: JobSpec) -> list[Violation]:
    """Return the changes between a training that has started and the job that shall resume it.

    A field that is missing in ``before``, because an earlier version wrote it, counts as having its default.

    Args:
        before: The `training_definition` of the training that has started.
        spec: The current job.

    Returns:
        A violation for each changed field, with the old and the new value.
    """
    now, given = training_definition(spec), dump_fields(spec, _fields_of(spec), exclude_defaults=True)
    return [
        Violation(path, f"was {_shown(was)} when training started and is now {_shown(value)}; {_REMEDY}")
        for path, was, value in _differences("spec", _present_form(before), now, given)
        if path != "spec.epochs" or spec.optimizer.schedule.name in EPOCHS_OF_SCHEDULES
    ]


def epochs_violation(spec: JobSpec, trained: int, step: int) -> Violation | None:
    """Check that a job has at least as many epochs as were trained already.

    Args:
        spec: The current job.
        trained: Number of epochs in which at least one step was committed.
        step: Number of committed steps.
    """
    if spec.epochs >= trained:
        return None
    return Violation(
        "spec.epochs",
        f"is {spec.epochs}, but {trained} epochs have been trained or begun (step {step}); set it to at "
        f"least {trained}, or start a new training (a new job, or another output folder)",
    )


def _fields_of(spec: JobSpec) -> tuple[str, ...]:
    """Return the defining fields of a job; a learning rate that follows the evaluations depends on them."""
    follows = spec.optimizer.schedule.name is ScheduleName.REDUCE_ON_PLATEAU
    return (*DEFINING_FIELDS, *(("evaluateEveryEpochs", "data.evaluation", "metric") if follows else ()))


def _present_form(before: object) -> object:
    """Write a path of initial weights, all that earlier versions had, as the present fields."""
    if not isinstance(before, dict):
        return before
    model = before.get("model")
    if not isinstance(model, dict) or not isinstance(weights := model.get("initialWeights"), str):
        return before
    return {**before, "model": {**model, "initialWeights": {"path": weights}}}


def dump_fields(spec: JobSpec, paths: Iterable[str], *, exclude_defaults: bool) -> dict[str, Any]:
    """Return the fields of ``spec`` at these paths (``model``, ``data.train``) as JSON values."""
    included: dict[str, Any] = {}
    for path in paths:
        field, _, member = path.partition(".")
        if member:
            included.setdefault(to_snake(field), set()).add(to_snake(member))
        else:
            included[to_snake(field)] = True
    return spec.model_dump(mode="json", by_alias=True, include=included, exclude_defaults=exclude_defaults)


def _differences(path: str, was: object, now: object, given: object) -> Iterator[_Difference]:
    """Yield the innermost fields that differ; ``given`` is ``now`` without the fields at their defaults."""
    if isinstance(was, dict) and isinstance(now, dict):
        known = given if isinstance(given, dict) else {}
        for name in dict.fromkeys([*now, *was]):
            before, value = was.get(name, _UNSET), now.get(name, _UNSET)
            if before is _UNSET and name not in known:
                continue
            yield from _differences(f"{path}.{name}", before, value, known.get(name))
    elif _are_objects(was) and _are_objects(now) and len(was) == len(now):
        for index, (before, value) in enumerate(zip(was, now, strict=True)):
            yield from _differences(f"{path}[{index}]", before, value, value)
    elif was != now:
        yield path, was, now


def _are_objects(value: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _shown(value: object) -> str:
    if value is _UNSET or value is None:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 2] + " …"
