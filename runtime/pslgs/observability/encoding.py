"""Conversion of records to JSON and back, without loss of precision."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, get_args

from pydantic import TypeAdapter, ValidationError

from pslgs.observability.records import Record

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_ADAPTERS: dict[str, TypeAdapter[Record]] = {cls.kind: TypeAdapter(cls) for cls in get_args(Record)}


def encode(record: Record) -> bytes:
    """Return a record as a JSON object without line breaks, with the field ``kind`` first.

    Numbers that JSON does not have, as in a diverged loss, are written as "nan", "inf" and "-inf".
    """
    document = {"kind": record.kind, **_attributes(record)}
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def decode(line: bytes) -> Record:
    """Return the record of a line written by `encode`; unknown fields are ignored.

    Raises:
        ValueError: the line is not a JSON object, its kind is unknown, or a field is missing or invalid.
    """
    document = json.loads(line)
    if not isinstance(document, dict) or str(document.get("kind")) not in _ADAPTERS:
        raise ValueError(f"not a record; its kind must be one of {', '.join(_ADAPTERS)}")
    try:
        return _ADAPTERS[document.pop("kind")].validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def plain(value: object) -> object:
    """Convert dataclasses and mappings to dictionaries, tuples to lists, and non-finite numbers to text."""
    if is_dataclass(value):
        return _attributes(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _attributes(value: "DataclassInstance | type[DataclassInstance]") -> dict[str, object]:
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
