"""The names that certificates carry: of clients, and of the hosts that a server is dialled at."""

import re

_PART = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_PART}(?:\.{_PART})*")

DNS_NAME_RULE = (
    "must consist of lower-case letters, digits, '-' and '.', start and end with a letter or digit, "
    "also between dots, and have 253 characters at most"
)
"""What `is_dns_name` asks for, as the predicate of a sentence."""


def is_dns_name(text: str) -> bool:
    """Tell whether ``text`` is a DNS name as Kubernetes names its nodes; clients are ``<node>-<number>``."""
    return len(text) <= 253 and _DNS_NAME.fullmatch(text) is not None
