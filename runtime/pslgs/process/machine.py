"""Defaults that depend on the machine: number of cores, and folder of converted datasets."""

import os
from pathlib import Path
from typing import Final

DATASET_CACHE: Final = Path("~/.cache/pslgs")
"""Default folder of converted datasets for commands; ``~`` is not expanded."""


def cores_of_client(clients: int, available: int) -> int:
    """Return the number of cores that each of several clients on this machine computes with."""
    return max(1, available // clients)


def available_cores() -> int:
    """Return the number of cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
