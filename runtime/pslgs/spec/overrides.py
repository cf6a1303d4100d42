"""Single values of a manifest, replaced from the command line."""

import re
from collections.abc import Sequence
from typing import Any, Final

from pslgs.spec.document import parse_yaml
from pslgs.spec.errors import InputError
from pslgs.spec.violations import path_of

_DOT: Final = re.compile(r"(?<!\\)\.")
"""A dot that separates; ``\\.`` is part of a name, as in ``nodeSelector.pslgs\\.dev/edge``."""


def with_overrides(document: object, overrides: Sequence[str]) -> object:
    """Set values in a copy of the document, e.g. ``spec.epochs=3`` or ``spec.data.transforms.0.size=28``.

    Values are YAML.  Missing mappings on the way are made; a list's length as index appends to it.

    Raises:
        InputError: an override does not read path=value, or leads through a value or past a list's end.
    """
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals or not path:
            raise InputError.at("--set", f"is '{override}', must read path=value, e.g. spec.epochs=3")
        document = _assigned(document, _keys(path), 0, parse_yaml(value, path))
    return document


def _keys(path: str) -> tuple[str, ...]:
    dotted = re.sub(r"\[(\d+)\]", r".\1", path)
    return tuple(key.replace("\\.", ".") for key in _DOT.split(dotted))


def _assigned(container: object, keys: Sequence[str], depth: int, value: object) -> object:
    """Copy a container along ``keys`` from ``depth`` on, with the value at their end."""
    if depth == len(keys):
        return value
    if container is None:
        container = [] if keys[depth] == "0" else {}
    if isinstance(container, list):
        return _assigned_in_list(container, keys, depth, value)
    if not isinstance(container, dict):
        raise InputError.at(path_of(keys[:depth]), f"is {container!r}, so {keys[depth]} cannot be set in it")
    return {**container, keys[depth]: _assigned(container.get(keys[depth]), keys, depth + 1, value)}


def _assigned_in_list(entries: list[Any], keys: Sequence[str], depth: int, value: object) -> list[Any]:
    if not keys[depth].isdecimal() or int(keys[depth]) > len(entries):
        raise InputError.at(
            path_of(keys[:depth]),
            f"is a list of {len(entries)}, so {keys[depth]} must be a number up to {len(entries)}",
        )
    index = int(keys[depth])
    old = entries[index] if index < len(entries) else None
    return [*entries[:index], _assigned(old, keys, depth + 1, value), *entries[index + 1 :]]
