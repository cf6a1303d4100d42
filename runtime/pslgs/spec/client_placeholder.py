"""The placeholder for a client's id in the paths and options of its data."""

from collections.abc import Iterator, Mapping
from typing import Final

CLIENT_PLACEHOLDER: Final = "{client}"
"""Placeholder for the client's id in a path or in a text of the options."""


def texts_per_client(value: object) -> Iterator[str]:
    """Yield the texts with the placeholder in a value, in lists and mappings at any depth."""
    if isinstance(value, str):
        if CLIENT_PLACEHOLDER in value:
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts_per_client(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts_per_client(each)
