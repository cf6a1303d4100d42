"""JSON patches (RFC 6902) and merge patches (RFC 7396)."""

from collections.abc import Mapping, Sequence
from typing import Any

from fake_api.answers import failed_test
from fake_api.bodies import copied


def json_patched(body: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Apply operations in order; all or none."""
    patched = copied(dict(body))
    for operation in operations:
        _operate(patched, operation)
    return patched


def _operate(body: dict[str, Any], operation: Mapping[str, Any]) -> None:
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    at: Any = body
    for part in path:
        at = at[int(part)] if isinstance(at, list) else at.get(part)
        if at is None:
            raise failed_test()
    name: Any = last if isinstance(at, dict) else (len(at) if last == "-" else int(last))
    there = name in at if isinstance(at, dict) else name < len(at)
    match operation["op"]:
        case "test":
            if not there or at[name] != operation["value"]:
                raise failed_test()
        case "add" if isinstance(at, list):
            at.insert(name, copied(operation["value"]))
        case "add":
            at[name] = copied(operation["value"])
        case "replace" if there:
            at[name] = copied(operation["value"])
        case "remove" if there:
            del at[name]
        case _:
            raise failed_test()


def merge_patched(body: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Set what the patch has, remove what it has as null; lists are replaced."""
    patched = dict(body)
    for name, value in patch.items():
        if value is None:
            patched.pop(name, None)
        elif isinstance(value, Mapping):
            old = patched.get(name)
            patched[name] = merge_patched(old if isinstance(old, Mapping) else {}, value)
        else:
            patched[name] = copied(value)
    return patched
