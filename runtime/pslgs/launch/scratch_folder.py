"""A private temporary folder, which does not stay when its process is killed."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pslgs.file_lock import locked

_PREFIX: Final = "pslgs-run-"
_YOUNG_SECONDS: Final = 60.0
"""Age up to which a folder that is not locked may belong to a process that is about to lock it."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Provide a folder that only this user can read, and remove it at the end of the block.

    A process that is killed leaves its folder; the next one that makes a folder removes that.

    Raises:
        OSError: it cannot be created.
    """
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, locked(Path(name)):
        yield Path(name)


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of this user whose processes were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # of another user, in use, or removed by another process
            if time.time() - folder.stat().st_mtime > _YOUNG_SECONDS:
                with locked(folder):
                    shutil.rmtree(folder)
