"""Validation of the names in certificates: ids of clients and host names of servers."""

import re

_PART = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_PART}(?:\.{_PART})*")

DNS_NAME_RULE = (
    "must consist of lower-case letters, digits, '-' and '.', start and end with a letter or digit, "
    "also between dots, and have 253 characters at most"
)
"""The rule that `is_dns_name` checks, as the predicate of a sentence."""


def is_dns_name(text: str) -> bool:
    """Return whether ``text`` is a DNS name as Kubernetes requires for the names of nodes.

    Ids of clients have the form ``<node>-<number>``.
    """
    return len(text) <= 253 and _DNS_NAME.fullmatch(text) is not None
