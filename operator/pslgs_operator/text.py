"""Sentences for status, Events and logs: shortened, in one line, and lists of names."""

import re
from collections.abc import Sequence
from typing import Final

LONGEST_SENTENCE: Final = 300
"""Characters of a foreign text that are worth quoting."""


def plain(text: str, limit: int = LONGEST_SENTENCE) -> str:
    """Return a foreign text as one line: no control characters, runs of white space as one space, cut."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 20 * limit])
    return cut(re.sub(r"\s+", " ", printable).strip(), limit)


def cut(text: str, limit: int) -> str:
    """Cut a text to ``limit`` bytes of UTF-8, which is how the API server measures; the end says so."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    ellipsis = "…"
    return encoded[: limit - len(ellipsis.encode())].decode(errors="ignore").rstrip() + ellipsis


def listing(names: Sequence[str], shown: int = 5) -> str:
    """List the first names in words: ``a, b and c``, or ``a, b and 3 more``."""
    more = len(names) - shown
    parts = [*names[:shown], *([f"{more} more"] if more > 0 else [])]
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def word(text: str) -> str:
    """Make of a foreign reason one that the API allows: letters and digits, a letter first."""
    letters = re.sub(r"[^A-Za-z0-9]", "", text).lstrip("0123456789")
    return letters[:1].upper() + letters[1:100] if letters else "Unknown"
