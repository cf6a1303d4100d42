"""Differences between a rendered child and the object that is there, and the patch that removes them.

Compared are the fields that are rendered: what the API server adds by default, and what others add beside
them, is left alone.  Where an added field would change the meaning (selectors, rules of a NetworkPolicy,
data), the object has to be as rendered.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.fields import mapping, mappings, text

_EXACT: Final = frozenset(
    {
        ("NetworkPolicy", "spec"),
        ("Service", "spec", "selector"),
        ("PodMonitor", "spec", "selector"),
        ("ConfigMap", "data"),
        ("Secret", "data"),
    }
)
"""Kinds and paths of what is compared including fields that are not rendered."""

_OWNERS: Final = ("metadata", "ownerReferences")
_METADATA: Final = ("labels", "annotations", "ownerReferences")
_NEVER_COMPARED: Final = frozenset({"apiVersion", "kind", "status"})

Patch = dict[str, Any]


def merge_patch(rendered: Mapping[str, Any], live: Mapping[str, Any]) -> Patch:
    """Return the JSON merge patch that brings ``live`` to the rendered form; empty if it is so already."""
    wanted = {name: value for name, value in rendered.items() if name not in _NEVER_COMPARED}
    wanted["metadata"] = {
        part: rendered["metadata"][part] for part in _METADATA if part in rendered["metadata"]
    }
    patch = _patch((rendered["kind"],), wanted, live, exact=False)
    for part, keys in _no_longer_rendered(rendered, live).items():
        patch.setdefault("metadata", {}).setdefault(part, {}).update(dict.fromkeys(keys))
    return patch


def _no_longer_rendered(rendered: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, list[str]]:
    """Find labels and annotations that users chose for the child once, and do not any more."""
    written = text(mapping(live, "metadata", "annotations"), names.KEYS_ANNOTATION)
    gone: dict[str, list[str]] = {}
    for part, _, key in (each.partition("/") for each in written.split()):
        there, wanted = mapping(live, "metadata", part), mapping(rendered, "metadata", part)
        if key in there and key not in wanted:
            gone.setdefault(part, []).append(key)
    if written and names.KEYS_ANNOTATION not in mapping(rendered, "metadata", "annotations"):
        gone.setdefault("annotations", []).append(names.KEYS_ANNOTATION)
    return gone


def changed_fields(patch: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of the fields that a merge patch sets or removes."""
    for name, value in patch.items():
        if isinstance(value, Mapping) and value:
            yield from changed_fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _patch(
    path: tuple[str, ...], wanted: Mapping[str, Any], live: Mapping[str, Any], *, exact: bool
) -> Patch:
    exact = exact or path in _EXACT
    patch: Patch = dict.fromkeys(live.keys() - wanted.keys()) if exact else {}
    for name, value in wanted.items():
        there = live.get(name)
        inner = (*path, name)
        if inner[1:] == _OWNERS:
            present = list(mappings(live, name))
            owners = _with_owners(value, present)
            if owners != present:
                patch[name] = owners
        elif isinstance(value, Mapping):
            if below := _patch(inner, value, mapping(live, name), exact=exact):
                patch[name] = below
        elif not _same(value, there, exact=exact or inner in _EXACT):
            patch[name] = value
    return patch


def _same(wanted: object, live: object, *, exact: bool) -> bool:
    if isinstance(wanted, list | tuple):
        there = live if isinstance(live, list | tuple) else () if live is None else None
        return (
            there is not None
            and len(wanted) == len(there)
            and all(_same(one, other, exact=exact) for one, other in zip(wanted, there, strict=True))
        )
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        if exact and live.keys() - wanted.keys():
            return False
        return all(_same(value, live.get(name), exact=exact) for name, value in wanted.items())
    return wanted == live


def _with_owners(wanted: Sequence[Mapping[str, Any]], live: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Put in the owners that are missing or changed; those that others added stay."""
    ours = {owner["uid"]: owner for owner in wanted}
    merged = [{**each, **ours.pop(text(each, "uid"), {})} for each in live]
    return [*merged, *ours.values()]
