"""Read the Workloads and ResourceFlavors of Kueue."""

from collections.abc import Mapping, Sequence
from typing import Any

from pslgs_operator.fields import mapping, mappings, text, whole
from pslgs_operator.names import DEMAND_ANNOTATION
from pslgs_operator.workload import Assignment, Flavor, PodSetUpdate, Workload


def read_workload(body: Mapping[str, Any]) -> Workload:
    """Read a Workload of ours."""
    metadata, spec, status = (mapping(body, part) for part in ("metadata", "spec", "status"))
    counts = {text(each, "name"): _count(each, "count", 1) for each in mappings(spec, "podSets")}
    return Workload(
        name=text(metadata, "name"),
        uid=text(metadata, "uid"),
        version=text(metadata, "resourceVersion"),
        generation=whole(metadata, "generation") or 0,
        demand=text(mapping(metadata, "annotations"), DEMAND_ANNOTATION),
        counts=counts,
        priority=whole(spec, "priority"),
        active=spec.get("active") is not False,
        conditions=tuple(mappings(status, "conditions")),
        assignments=_assignments(mapping(status, "admission"), counts),
        updates={name: _updates(status, name) for name in counts},
        checks={text(each, "name"): text(each, "state") for each in mappings(status, "admissionChecks")},
        past_seconds=whole(status, "accumulatedPastExecutionTimeSeconds") or 0,
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def read_flavor(body: Mapping[str, Any]) -> Flavor:
    """Read a ResourceFlavor."""
    spec = mapping(body, "spec")
    return Flavor(_texts(spec, "nodeLabels"), _tolerations(spec))


def _assignments(admission: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Assignment]:
    found = {}
    for each in mappings(admission, "podSetAssignments"):
        name = text(each, "name")
        flavors = tuple(dict.fromkeys(_texts(each, "flavors").values()))
        found[name] = Assignment(_count(each, "count", counts.get(name, 0)), flavors)
    return found


def _updates(status: Mapping[str, Any], pod_set: str) -> tuple[PodSetUpdate, ...]:
    return tuple(
        PodSetUpdate(
            labels=_texts(update, "labels"),
            annotations=_texts(update, "annotations"),
            node_selector=_texts(update, "nodeSelector"),
            tolerations=_tolerations(update),
        )
        for check in mappings(status, "admissionChecks")
        for update in mappings(check, "podSetUpdates")
        if text(update, "name") == pod_set
    )


def _texts(document: Mapping[str, Any], name: str) -> dict[str, str]:
    return {key: value for key, value in mapping(document, name).items() if isinstance(value, str)}


def _tolerations(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return tuple(mappings(document, "tolerations"))


def _count(document: Mapping[str, Any], name: str, default: int) -> int:
    found = whole(document, name)
    return default if found is None else found
