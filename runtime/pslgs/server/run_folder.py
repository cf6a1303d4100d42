"""The folder of journal, checkpoints and model."""

import os
from pathlib import Path
from typing import Final

from pslgs.spec.errors import InputError

CHECKPOINTS: Final = "checkpoints"
"""Name of the folder of the checkpoints in the run folder."""


def usable(run: Path) -> Path:
    """Make the folder if it is missing, and return it.

    Raises:
        InputError: this user may not write there.
        OSError: it cannot be made for another reason.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise _refused(run) from error
    if not os.access(run, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise _refused(run)
    return run


def _refused(run: Path) -> InputError:
    return InputError.at(
        "",
        f"the run folder '{run}' is not writable for user {os.geteuid()}; change its owner, or that of the "
        "volume of spec.checkpoint.storage",
    )
