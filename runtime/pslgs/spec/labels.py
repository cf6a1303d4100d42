"""Labels and annotations that users set on the objects of a job: their syntax, and the reserved keys."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final

from pydantic import Field

from pslgs.spec.errors import Violation
from pslgs.spec.scalars import LABEL_VALUE

RESERVED_PREFIX: Final = "pslgs.dev/"
"""Start of the keys by which the operator finds and identifies what it creates."""

MAX_ENTRIES: Final = 64
_MAX_VALUE_LENGTH: Final = 63
_MAX_PREFIX_LENGTH: Final = 253
_KEY: Final = re.compile(
    r"(?:(?P<prefix>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*)/)?"
    r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)

LabelValue = Annotated[str, Field(strict=True, max_length=_MAX_VALUE_LENGTH, pattern=LABEL_VALUE)]
Labels = Annotated[Mapping[str, LabelValue], Field(max_length=MAX_ENTRIES)]
Annotations = Annotated[Mapping[str, str], Field(max_length=MAX_ENTRIES)]


def reserved_key_violations(path: str, keys: Iterable[str]) -> Iterator[Violation]:
    """Refuse keys that the operator sets."""
    if any(key.startswith(RESERVED_PREFIX) for key in keys):
        yield Violation(path, f"has a key under {RESERVED_PREFIX}, which only the operator sets; remove it")


def key_violations(path: str, keys: Iterable[str]) -> Iterator[Violation]:
    """Refuse keys that are no names of labels or annotations."""
    for key in keys:
        found = _KEY.fullmatch(key)
        if found is None or len(found["prefix"] or "") > _MAX_PREFIX_LENGTH:
            yield Violation(
                path,
                f"has the key '{key}', which is no name of a label or annotation; give at most 63 letters, "
                "digits, '-', '_' and '.', with or without a DNS name and '/' before them",
            )
