"""Lookup of a dataset's files and folders."""

import glob
import os
from pathlib import Path

from pslgs.spec.errors import InputError


def matching_files(pattern: str, field: str) -> list[Path]:
    """Return the files that match a path or glob pattern, sorted by name.

    Raises:
        InputError: no file matches, or one is empty or not readable.
    """
    files = [Path(name) for name in sorted(glob.glob(os.path.expanduser(pattern), recursive=True))]
    files = [file for file in files if file.is_file()]
    if not files:
        raise InputError.at(
            field, f"is '{pattern}', which matches no file; is the data volume mounted there?"
        )
    for file in files:
        if not os.access(file, os.R_OK):
            raise InputError.at(field, f"names '{file}', which is not readable; check its permissions")
        if file.stat().st_size == 0:
            raise InputError.at(field, f"names '{file}', which is empty; copy it again")
    return files


def existing_folder(path: str, field: str) -> Path:
    """Return the folder at ``path``.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError.at(field, f"is '{path}', which is not a folder; is the data volume mounted there?")
    return folder
