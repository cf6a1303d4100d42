"""Defaults that depend on the machine: how many cores there are, and where converted datasets are kept."""

import os
from pathlib import Path
from typing import Final

DATASET_CACHE: Final = Path("~/.cache/pslgs")
"""Folder for converted datasets of commands that a user runs; to be expanded."""


def available_cores() -> int:
    """Return the number of cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
