"""Flat records as the API has them: names in camelCase, nothing where nothing is known."""

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic.alias_generators import to_camel

from pslgs_operator.document import mapping


class Record(Protocol):
    """A dataclass of integers, texts and tuples of texts, each with a default."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_Kind = TypeVar("_Kind", bound=Record)


def written(record: Record) -> dict[str, Any]:
    """Write a record; empty texts and lists are left out, zeros are not."""
    values = ((to_camel(each.name), getattr(record, each.name)) for each in fields(record))
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values
        if value not in {"", ()}
    }


def read(kind: type[_Kind], document: object) -> _Kind:
    """Read a record; what is missing, or of another type, is what it is by default."""
    return kind(**dict(_values(kind, mapping(document))))


def known(**values: object) -> dict[str, Any]:
    """Keep the values that are known, under names in camelCase."""
    return {to_camel(name): value for name, value in values.items() if value is not None}


def _values(kind: type[Record], document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of the fields' types
    for each in fields(kind):
        value, wanted = document.get(to_camel(each.name)), type(each.default)
        if wanted is tuple and isinstance(value, list):
            yield each.name, tuple(item for item in value if isinstance(item, str))
        elif type(value) is wanted:
            yield each.name, value
