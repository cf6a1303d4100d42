"""Read fields of JSON documents whose shape is not guaranteed."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

_INT64 = range(-(2**63), 2**63)
_MAPPINGS = (dict, Mapping)
"""`dict` comes first since its check is several times faster, and nearly all documents are one."""


def mapping(document: object, *path: str) -> Mapping[str, Any]:
    """Follow a path of names; an empty mapping where there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, _MAPPINGS) else None
    return document if isinstance(document, _MAPPINGS) else {}


def mappings(document: object, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings in a list."""
    found = mapping(document).get(name)
    for each in found if isinstance(found, list | tuple) else ():
        if isinstance(each, Mapping):
            yield each


def text(document: object, name: str) -> str:
    """Return a string; empty where there is none."""
    found = mapping(document).get(name)
    return found if isinstance(found, str) else ""


def whole(document: object, name: str) -> int | None:
    """Return an integer of 64 bits."""
    found = mapping(document).get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and found in _INT64 else None


def number(document: object, name: str) -> float | None:
    """Return a finite number."""
    found = mapping(document).get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) < 1e300 and math.isfinite(found) else None


def moment(document: object, name: str) -> datetime | None:
    """Return a time in RFC 3339, without fractions of a second, as the API has most of its times."""
    try:
        found = datetime.fromisoformat(text(document, name)).replace(microsecond=0)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter for times that UTC puts out of the years 1 to 9999
        return None


def timestamp(written: datetime | None) -> str | None:
    """Write a time in RFC 3339."""
    return written.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if written else None


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return the condition of this type, if it is there."""
    return next((each for each in mappings(status, "conditions") if each.get("type") == kind), None)


def is_true(found: Mapping[str, Any] | None) -> bool:
    """Return whether a condition is there and True."""
    return found is not None and found.get("status") == "True"
