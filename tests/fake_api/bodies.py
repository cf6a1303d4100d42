"""Objects as the API sends them, and copies of them."""

from typing import Any

Body = dict[str, Any]


def copied(value: Any) -> Any:
    """Copy what JSON can say; several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {name: copied(each) for name, each in value.items()}
    if isinstance(value, list):
        return [copied(each) for each in value]
    return value
