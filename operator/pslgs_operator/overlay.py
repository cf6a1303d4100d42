"""Lay the user's pod template over the generated one, as a strategic merge patch does."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pslgs.spec import JobSpec, PodTemplate, Violation

MERGE_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "containers": "name",
        "initContainers": "name",
        "volumes": "name",
        "env": "name",
        "volumeMounts": "mountPath",
        "volumeDevices": "devicePath",
        "ports": "containerPort",
        "imagePullSecrets": "name",
        "resourceClaims": "name",
        "hostAliases": "ip",
        "topologySpreadConstraints": "topologyKey",
    }
)
"""Lists whose items are merged with that of the same key; the user's other lists replace the generated."""

_ADDED_LISTS: Final = frozenset({"tolerations"})
_REPLACED_ITEMS: Final = frozenset({"volumes"})
"""Items that are not merged, because two kinds of volume in one would be refused."""


def strategic_merge(generated: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``template`` into ``generated``; a null removes a field, and merging twice is merging once."""
    merged = dict(generated)
    for name, value in template.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(name, merged.get(name), value)
    return merged


def _merged(name: str, old: object, new: object) -> object:
    if isinstance(new, Mapping):
        return strategic_merge(old if isinstance(old, Mapping) else {}, new)
    if not isinstance(new, list):
        return new
    present = old if isinstance(old, list) else []
    if name in _ADDED_LISTS:
        return _added(present, new)
    return _merged_by_key(name, present, new) if name in MERGE_KEYS else new


def _added(old: Sequence[object], new: Sequence[object]) -> list[object]:
    items = list(old)
    items.extend(each for position, each in enumerate(new) if each not in [*old, *new[:position]])
    return items


def _merged_by_key(name: str, old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    key = MERGE_KEYS[name]
    items = {item[key]: item for item in old}
    for item in new:
        beneath = {} if name in _REPLACED_ITEMS else items.get(item[key], {})
        items[item[key]] = strategic_merge(beneath, item)
    return list(items.values())


def template_violations(spec: JobSpec) -> Iterator[Violation]:
    """Yield what in the two templates of a job cannot be merged; the rest is the API server's to judge."""
    for role, template in (("server", spec.server.template), ("clients", spec.clients.template)):
        yield from _of_mapping(f"spec.{role}.template.spec", template.spec)


_NEEDED: Final = frozenset({"containers", "volumes", "env", "ports", "volumeMounts"})
"""Fields that cannot be removed by a null, because the pod would lack what the operator relies on."""
_MAPPINGS: Final = frozenset({"affinity", "nodeAffinity"})


def _of_mapping(path: str, template: Mapping[str, Any]) -> Iterator[Violation]:
    for name, value in template.items():
        below = f"{path}.{name}"
        if name.startswith("$"):
            yield Violation(below, "is a directive, which is not supported; give null to remove a field")
        elif value is None and name not in _NEEDED:
            continue
        elif name in _MAPPINGS and not isinstance(value, Mapping):
            yield Violation(below, "must be a mapping")
        elif name in MERGE_KEYS or name in _ADDED_LISTS:
            yield from _of_list(below, name, value)
        elif isinstance(value, Mapping):
            yield from _of_mapping(below, value)


def _of_list(path: str, name: str, value: object) -> Iterator[Violation]:
    if not isinstance(value, list):
        yield Violation(path, "must be a list")
        return
    key = MERGE_KEYS.get(name)
    for position, item in enumerate(value):
        if not isinstance(item, Mapping):
            yield Violation(f"{path}[{position}]", "must be a mapping")
        elif key and not isinstance(item.get(key), str | int):
            yield Violation(f"{path}[{position}].{key}", "is missing; it says which item is meant")
        else:
            yield from _of_mapping(f"{path}[{position}]", item)


def with_user_template(generated: dict[str, Any], user: PodTemplate) -> dict[str, Any]:
    """Merge the user's template into the generated one; the restart policy stays."""
    metadata = user.metadata.model_dump(mode="json")
    merged = strategic_merge(generated, {"metadata": metadata, "spec": user.spec})
    merged["spec"]["restartPolicy"] = generated["spec"]["restartPolicy"]
    return merged


def pinned(template: dict[str, Any], node: str) -> dict[str, Any]:
    """Let the pod run on this node only, by the scheduler, so that resources and taints count."""
    here = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]}}
    spec = strategic_merge(template["spec"], {"affinity": {"nodeAffinity": required}, "nodeName": None})
    return template | {"spec": spec}
