"""Another wall clock for the processes of a run, by a library that is compiled for it (`wall_clock.c`)."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

_SHIFT = struct.Struct("=q")
_COMPILER = "cc"


def can_be_set() -> bool:
    """Return whether this machine has what it takes."""
    return sys.platform == "linux" and shutil.which(_COMPILER) is not None


class WallClock:
    """A wall clock that shows the right time until it is set.

    Attributes:
        environment: Variables with which processes see it.
    """

    def __init__(self, folder: Path) -> None:
        """Compile the library; it and the setting of the clock are files in the folder."""
        library, self._shift = folder / "wall_clock.so", folder / "wall_clock"
        source = Path(__file__).with_suffix(".c")
        subprocess.run([_COMPILER, "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
        self._shift.write_bytes(_SHIFT.pack(0))
        self.environment = {"LD_PRELOAD": str(library), "PSLGS_CHAOS_CLOCK": str(self._shift)}

    def set(self, seconds: int) -> None:
        """Let it be so many seconds ahead of the right time, or behind it."""
        descriptor = os.open(self._shift, os.O_WRONLY)
        try:
            os.pwrite(descriptor, _SHIFT.pack(seconds), 0)  # in place: processes have mapped the file
        finally:
            os.close(descriptor)
