"""Files that are replaced as a whole, so that no reader sees half of one and no crash leaves one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give the path of a new file in the same folder, which replaces ``file`` at the end of the block.

    If the block raises, the new file is removed and ``file`` stays as it is.  Two processes must not replace
    one file at the same time.

    Raises:
        OSError: the file cannot be written.
    """
    new = file.with_name(f"{file.name}.new")
    try:
        yield new
        sync(new)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
