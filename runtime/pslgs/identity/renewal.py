"""An identity that is renewed while a process runs: the files of a mounted Secret change in place."""

import logging
from collections.abc import Callable
from pathlib import Path

from pslgs.identity.identity import Identity
from pslgs.spec.errors import InputError

IdentitySource = Callable[[], Identity]
"""Gives the identity to show in the next connection."""

_logger = logging.getLogger(__name__)


def renewed_from(folder: Path) -> IdentitySource:
    """Read the identity in ``folder`` now, and again whenever it is asked for.

    One that cannot be read (any more) leaves the one before in use: its files may be half exchanged.

    Raises:
        InputError: there is none yet that can be used.
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
