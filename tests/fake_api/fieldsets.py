"""Server-side apply's view of an object: its leaf fields as paths, and who owns them.

A path is a tuple of elements as in ``fieldsV1``: ``f:name`` is a field, ``k:{…}`` an item of a list that is
keyed, ``v:…`` an item of a set.  Other lists, and maps that the API calls atomic, are leaves.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from fake_api.bodies import copied

Path = tuple[str, ...]

_KEYS = {
    "f:containers": ("name",),
    "f:initContainers": ("name",),
    "f:env": ("name",),
    "f:volumes": ("name",),
    "f:volumeMounts": ("mountPath",),
    "f:imagePullSecrets": ("name",),
    "f:ownerReferences": ("uid",),
    "f:conditions": ("type",),
}
_SETS = {"f:finalizers"}
_ATOMIC_MAPS = {"f:selector", "f:matchLabels", "f:nodeSelector", "f:podSelector", "f:namespaceSelector"}
_UNOWNED = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"}
_UNOWNED_TOO = {"managedFields", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"}


def owned_part(body: Mapping[str, Any], *, status: bool) -> dict[str, Any]:
    """Leave out what nobody owns, and the half that the endpoint does not write."""
    metadata = {
        name: value
        for name, value in (body.get("metadata") or {}).items()
        if name not in _UNOWNED | _UNOWNED_TOO
    }
    if status:
        return {"status": body["status"]} if "status" in body else {}
    rest = {name: value for name, value in body.items() if name not in {"apiVersion", "kind", "metadata"}}
    return rest | ({"metadata": metadata} if metadata else {})


def leaves(value: Any) -> dict[Path, Any]:
    """Return every leaf field with its value; an item of a keyed list is one beside its fields."""
    found: dict[Path, Any] = {}
    _add_leaves(value, (), found)
    return found


def _add_leaves(value: Any, path: Path, found: dict[Path, Any]) -> None:
    if type(value) is dict and value and not (path and path[-1] in _ATOMIC_MAPS):
        for name, each in value.items():
            _add_leaves(each, (*path, f"f:{name}"), found)
    elif keys := _keys(path, value):
        for item in value:
            where = (*path, _key_element(item, keys))
            found[where] = None
            for name, each in item.items():
                _add_leaves(each, (*where, f"f:{name}"), found)
    elif isinstance(value, list) and value and path and path[-1] in _SETS:
        found |= {(*path, f"v:{json.dumps(item)}"): item for item in value}
    elif path and value is not None:
        found[path] = value


def merge(live: Any, config: Any, path: Path = ()) -> Any:
    """Lay an applied value over what is there."""
    if isinstance(config, Mapping) and isinstance(live, Mapping) and not (path and path[-1] in _ATOMIC_MAPS):
        merged = dict(live)
        for name, each in config.items():
            if each is not None:
                merged[name] = merge(live.get(name), each, (*path, f"f:{name}"))
        return merged
    keys = _keys(path, config)
    if keys and isinstance(live, list):
        merged_items = {_key_element(item, keys): item for item in live}
        for item in config:
            element = _key_element(item, keys)
            merged_items[element] = merge(merged_items.get(element), item, (*path, element))
        return list(merged_items.values())
    if path and path[-1] in _SETS and isinstance(live, list):
        return live + [item for item in config if item not in live]
    return copied(config)


def remove(body: dict[str, Any], paths: Iterable[Path]) -> None:
    """Take fields out, and what they leave empty."""
    for path in sorted(paths, key=len):  # an item of a keyed list before its fields
        _remove(body, path, ())


def _remove(value: Any, path: Path, done: Path) -> None:
    element, rest = path[0], path[1:]
    if isinstance(value, dict) and element.startswith("f:"):
        name = element[2:]
        if name not in value:
            return
        if rest:
            _remove(value[name], rest, (*done, element))
        if not rest or value[name] in ({}, []):
            del value[name]
    elif isinstance(value, list):
        keys = _keys(done, value)
        for index, item in enumerate(value):
            if element == (_key_element(item, keys) if keys else f"v:{json.dumps(item)}"):
                if rest:
                    _remove(item, rest, (*done, element))
                else:
                    del value[index]
                return


@lru_cache(maxsize=4096)
def to_fields_v1(paths: frozenset[Path]) -> dict[str, Any]:
    """Write paths as ``fieldsV1`` of a ``managedFields`` entry, which nobody changes."""
    fields: dict[str, Any] = {}
    for path in sorted(paths):
        at = fields
        for element in path:
            at = at.setdefault(element, {})
        if path[-1].startswith("k:"):
            at["."] = {}
    return fields


def readable(path: Path) -> str:
    """Write a path as the API server does in a conflict."""
    return "".join(
        f".{element[2:]}" if element.startswith("f:") else f"[{element[2:].strip('{}').replace(':', '=')}]"
        for element in path
    )


def _keys(path: Path, value: Any) -> tuple[str, ...]:
    if not (path and isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value)):
        return ()
    if path[-1] == "f:ports":
        if all("containerPort" in item for item in value):
            return ("containerPort", "protocol")
        return ("port", "protocol") if path == ("f:spec", "f:ports") else ()
    return _KEYS.get(path[-1], ())


def _key_element(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return _named(tuple((key, item.get(key, "TCP" if key == "protocol" else None)) for key in keys))


@lru_cache(maxsize=4096)
def _named(fields: tuple[tuple[str, Any], ...]) -> str:
    return f"k:{json.dumps(dict(fields), separators=(',', ':'))}"
