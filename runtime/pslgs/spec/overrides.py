"""Overrides of single manifest values from the command line (``--set``)."""

import re
from collections.abc import Sequence
from typing import Any, Final

from pslgs.spec.document import parse_yaml
from pslgs.spec.errors import InputError
from pslgs.spec.violations import path_of

_DOT: Final = re.compile(r"(?<!\\)\.")
"""An unescaped dot; ``\\.`` is a dot within a name, as in ``nodeSelector.pslgs\\.dev/edge``."""


def with_overrides(document: object, overrides: Sequence[str]) -> object:
    """Return a copy of the document with values replaced, e.g. by ``spec.epochs=3``.

    Values are parsed as YAML.  Missing mappings along a path are created.  Numbers in a path index
    lists (``spec.data.transforms.0.size=28``); the length of a list as index appends to it.

    Raises:
        InputError: an override does not have the form path=value, or its path leads through a scalar
            or past the end of a list.
    """
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals or not path:
            raise InputError.at("--set", f"is '{override}', must read path=value, e.g. spec.epochs=3")
        document = _with_value(document, _keys(path), 0, parse_yaml(value, path))
    return document


def _keys(path: str) -> tuple[str, ...]:
    dotted = re.sub(r"\[(\d+)\]", r".\1", path)
    return tuple(key.replace("\\.", ".") for key in _DOT.split(dotted))


def _with_value(container: object, keys: Sequence[str], depth: int, value: object) -> object:
    """Return a copy of the container with ``value`` at the path ``keys[depth:]``."""
    if depth == len(keys):
        return value
    if container is None:
        container = [] if keys[depth] == "0" else {}
    if isinstance(container, list):
        return _list_with_value(container, keys, depth, value)
    if not isinstance(container, dict):
        raise InputError.at(path_of(keys[:depth]), f"is {container!r}, so {keys[depth]} cannot be set in it")
    return {**container, keys[depth]: _with_value(container.get(keys[depth]), keys, depth + 1, value)}


def _list_with_value(entries: list[Any], keys: Sequence[str], depth: int, value: object) -> list[Any]:
    if not keys[depth].isdecimal() or int(keys[depth]) > len(entries):
        raise InputError.at(
            path_of(keys[:depth]),
            f"is a list of {len(entries)}, so {keys[depth]} must be a number up to {len(entries)}",
        )
    index = int(keys[depth])
    old = entries[index] if index < len(entries) else None
    return [*entries[:index], _with_value(old, keys, depth + 1, value), *entries[index + 1 :]]
