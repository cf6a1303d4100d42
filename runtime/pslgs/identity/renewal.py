"""Renewal of an identity while a process runs, by reading the files of a mounted Secret again."""

import logging
from collections.abc import Callable
from pathlib import Path

from pslgs.identity.identity import Identity
from pslgs.spec.errors import InputError

IdentitySource = Callable[[], Identity]
"""Function that returns the identity for the next connection."""

_logger = logging.getLogger(__name__)


def renewed_from(folder: Path) -> IdentitySource:
    """Return a source that reads the identity in ``folder`` again on each call.

    If the files are invalid, for example because they are being replaced, the source logs a warning and
    returns the previous identity.

    Raises:
        InputError: the first identity cannot be loaded.
    """
    current = Identity.load(folder)

    def source() -> Identity:
        nonlocal current
        try:
            current = Identity.load(folder)
        except InputError as error:
            _logger.warning("the identity is not renewed: %s", error)
        return current

    return source
