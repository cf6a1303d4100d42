"""Sanitizes text that a peer sent, for logs, records, statuses and terminals."""

TEXT_LIMIT = 500
"""Maximum number of characters of a peer's text.

gRPC sends the details of a status as metadata, which are limited to 8 KB.  A character takes up to 12 bytes
there: four bytes of UTF-8, each percent-encoded.
"""

_ELLIPSIS = " …"


def one_line(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return ``text`` as one line of at most ``limit`` printable characters.

    Characters that are not printable, such as line breaks, escape sequences and marks that change the
    writing direction, are replaced by spaces, and successive spaces by one.  An ellipsis marks truncation.
    """
    kept = text[: 4 * limit]  # a peer may send 64 KiB, of which only the beginning is used
    line = " ".join("".join(char if char.isprintable() else " " for char in kept).split())
    if len(line) <= limit and len(kept) == len(text):
        return line
    return line[: limit - len(_ELLIPSIS)].rstrip() + _ELLIPSIS
