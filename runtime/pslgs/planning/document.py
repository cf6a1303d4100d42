"""A plan as JSON and back; nothing is lost on the way."""

from typing import Any, Final

from pydantic import TypeAdapter

from pslgs.planning.figures import Plan

_ADAPTER: Final = TypeAdapter(Plan)


def to_document(plan: Plan) -> dict[str, Any]:
    """Turn a plan into what JSON can say."""
    document: dict[str, Any] = _ADAPTER.dump_python(plan, mode="json")
    return document


def from_document(document: object) -> Plan:
    """Undo `to_document`."""
    return _ADAPTER.validate_python(document)
