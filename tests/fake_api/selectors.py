"""Label and field selectors of list requests."""

import re
from collections.abc import Mapping
from typing import Any

_SET_BASED = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s+\((?P<values>[^)]*)\)")


def matches_labels(selector: str, labels: Mapping[str, str]) -> bool:
    """Tell whether labels meet every requirement of a selector."""
    return all(_meets(each.strip(), labels) for each in re.split(r",(?![^(]*\))", selector) if each.strip())


def _meets(requirement: str, labels: Mapping[str, str]) -> bool:
    if found := _SET_BASED.fullmatch(requirement):
        values = {value.strip() for value in found["values"].split(",")}
        return (labels.get(found["key"]) in values) == (found["operator"] == "in")
    if "!=" in requirement:
        key, value = requirement.split("!=")
        return labels.get(key.strip()) != value.strip()
    if "=" in requirement:
        key, value = requirement.replace("==", "=").split("=")
        return labels.get(key.strip()) == value.strip()
    if requirement.startswith("!"):
        return requirement[1:] not in labels
    return requirement in labels


def matches_fields(selector: str, body: Mapping[str, Any]) -> bool:
    """Tell whether an object meets ``path=value`` and ``path!=value`` of a selector."""
    for requirement in filter(None, selector.split(",")):
        wanted = "!=" not in requirement
        path, value = requirement.split("=" if wanted else "!=")
        at: Any = body
        for name in path.strip("=").split("."):
            at = (at or {}).get(name)
        if (str(at or "") == value.strip("=")) != wanted:
            return False
    return True
