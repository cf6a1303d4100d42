"""Manifests that another version reads than wrote them: the containers' part, and unknown fields.

Operator, custom resource definition and images of one job may differ by a version
(docs/reference/versions.md).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from pslgs.spec.definition import dump_fields
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.manifest import read_document, validated, with_overrides, with_value
from pslgs.spec.violations import path_of, violations_of

RUNTIME_FIELDS: Final = (
    "model",
    "data",
    "loss",
    "lossOptions",
    "epochs",
    "optimizer",
    "ema",
    "precision",
    "sampling",
    "evaluateEveryEpochs",
    "metric",
    "earlyStopping",
    "checkpoint.everySteps",
    "checkpoint.keep",
    "checkpoint.best",
    "checkpoint.startAfresh",
    "transport",
    "faultTolerance",
    "server.gpus",
)
"""Paths below ``spec`` of the fields that the server and the clients in a cluster read."""

OPERATOR_FIELDS: Final = (
    "checkpoint.storage",
    "server.gpuResource",
    "server.service",
    "server.template",
    "clients",
    "childMetadata",
    "suspend",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
)
"""Paths below ``spec`` of the fields that only the operator reads in a cluster; containers do not get them.

Every field is in one of the two lists.  An older image does not know a field that is added later, so it gets
only those that it needs.
"""

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class KnownFields:
    """A manifest without the fields that this version does not know.

    Attributes:
        job: The manifest.
        unknown: Location of each unknown field, from the root of the manifest -> its value.
    """

    job: SplitTrainingJob
    unknown: Mapping[Location, object]

    @property
    def unknown_paths(self) -> tuple[str, ...]:
        """Paths of the unknown fields."""
        return tuple(map(path_of, self.unknown))


def parse_known_fields(document: object) -> KnownFields:
    """Validate a manifest as `parse_job` does, but set unknown fields aside instead of refusing them.

    Raises:
        InputError: the manifest is invalid otherwise; it holds every violation.
    """
    unknown: dict[Location, object] = {}
    while True:
        try:
            return KnownFields(validated(document), unknown)
        except ValidationError as error:
            found = [each["loc"] for each in error.errors() if each["type"] == "extra_forbidden"]
            if not found:
                raise InputError(*violations_of(error, SplitTrainingJob)) from error
        for location in found:
            document, unknown[location] = _without(document, location)


def _without(container: Any, location: Location) -> tuple[Any, object]:  # noqa: ANN401 - lists or mappings
    """Return a copy without the field at a location, and the value that it had."""
    first, *rest = location
    copy: Any = container.copy() if isinstance(container, list) else dict(container)
    if not rest:
        return copy, copy.pop(first)
    copy[first], value = _without(copy[first], tuple(rest))
    return copy, value


def runtime_manifest(known: KnownFields) -> dict[str, Any]:
    """Return the manifest for the containers: `RUNTIME_FIELDS` without defaults, and unknown fields.

    An image that is newer than the operator may need unknown fields, unless they are part of a field that
    only the operator reads.
    """
    job = known.job
    document: dict[str, Any] = job.model_dump(
        mode="json",
        by_alias=True,
        include={"api_version": True, "kind": True, "metadata": {"name", "namespace"}},
    )
    document["spec"] = dump_fields(job.spec, RUNTIME_FIELDS, exclude_defaults=True)
    passed_on = {
        location: value
        for location, value in known.unknown.items()
        if not is_within(path_of(location), OPERATOR_FIELDS)
    }
    return with_unknown_fields(document, KnownFields(job, passed_on))


def is_within(path: str, parts: Iterable[str]) -> bool:
    """Return whether a path is one of ``parts``, which are paths below ``spec``, or lies in one."""
    return any(
        path == f"spec.{each}" or path.startswith((f"spec.{each}.", f"spec.{each}[")) for each in parts
    )


def with_unknown_fields(document: dict[str, Any], known: KnownFields) -> dict[str, Any]:
    """Return a copy of a dumped manifest with the unknown fields at their places."""
    merged: Any = document
    for location, value in known.unknown.items():
        merged = with_value(merged, tuple(map(str, location)), value)
    return dict(merged)


def load_runtime_job(
    path: Path, overrides: Sequence[str], required: Sequence[str]
) -> tuple[SplitTrainingJob, tuple[str, ...]]:
    """Load the manifest that an operator of another version may have written for this container.

    Args:
        path: The file.
        overrides: Values to replace, such as ``spec.epochs=3``.
        required: Paths below ``spec`` of the fields without which another network would be trained, as the
            operator knows them.

    Returns:
        The job, and the paths of the unknown fields that are ignored.

    Raises:
        InputError: the manifest cannot be read or is invalid, or has an unknown field at a required path.
    """
    known = parse_known_fields(with_overrides(read_document(path), overrides))
    if missed := tuple(_missed(known.unknown_paths, required)):
        raise InputError(*missed)
    return known.job, known.unknown_paths


def _missed(unknown: Sequence[str], required: Sequence[str]) -> Iterator[Violation]:
    for path in unknown:
        if is_within(path, required):
            yield Violation(
                path,
                f"is unknown to this image (pslgs {version('pslgs')}), and the result of the training "
                "depends on it; use an image of the operator's version, or remove the field",
            )
