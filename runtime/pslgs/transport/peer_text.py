"""Text that a peer sent, made safe for logs, records, statuses and terminals."""

TEXT_LIMIT = 500
"""Characters of a peer's text that are kept.

A gRPC status travels in metadata, of which gRPC promises to take 8 KB.  A character is at most 12 bytes
there: four of UTF-8, each percent-encoded.
"""

_CUT_OFF = " …"


def one_line(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return ``text`` in one line of at most ``limit`` printable characters.

    Whatever is not printable, such as line breaks, escape sequences and marks that change the direction of
    writing, becomes a space; spaces in a row become one.  What is cut off is marked by an ellipsis.
    """
    kept = text[: 4 * limit]  # a peer may send 64 KiB, and all but the beginning is dropped
    line = " ".join("".join(each if each.isprintable() else " " for each in kept).split())
    if len(line) <= limit and len(kept) == len(text):
        return line
    return line[: limit - len(_CUT_OFF)].rstrip() + _CUT_OFF
