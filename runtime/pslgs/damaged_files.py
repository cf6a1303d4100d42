"""What is damaged in a file, whichever library reads it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pslgs.spec.errors import InputError


class DamagedFileError(ValueError):
    """A library cannot read a file; the message is one line and says why."""


@contextmanager
def read_by_library() -> Iterator[None]:
    """Raise `DamagedFileError` for whatever a library raises in the block; to contain nothing else.

    For damaged files, libraries raise `struct.error`, `AssertionError`, `MemoryError` or errors of their own,
    and other ones in their next version.  An `InputError` passes.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise DamagedFileError(reason) from error
