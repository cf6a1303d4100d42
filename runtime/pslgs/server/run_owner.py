"""Whose training a run folder holds: one server at a time, and a volume outlives its SplitTrainingJob."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pslgs.atomic_file import replacing
from pslgs.file_lock import locked
from pslgs.spec.result_files import CHECKPOINTS

OWNER_FILE: Final = "job-uid"
LOCK_FILE: Final = "server.lock"
"""File that a server locks as long as it writes to the run folder; it stays there."""
SET_ASIDE: Final = "replaced"
"""Subfolder with the previous training, after ``checkpoint.startAfresh`` has begun a new one."""
_PARTIAL: Final = f"{SET_ASIDE}.partial"


class RunFolderInUse(RuntimeError):  # noqa: N818 - says what the folder is
    """Another server writes to the run folder."""


@contextmanager
def only_server(run: Path) -> Iterator[None]:
    """Keep other servers from writing to a run folder while the block runs.

    Raises:
        RunFolderInUse: another server does.
        OSError: the folder cannot be written.
    """
    try:
        with locked(run / LOCK_FILE):
            yield
    except BlockingIOError as error:
        raise RunFolderInUse(
            f"another server trains in '{run}'; wait for its end or stop it, or use another folder"
        ) from error


def claim_run_folder(run: Path, job_uid: str, *, start_afresh: bool) -> str:
    """Record that the job with this uid trains in a run folder, and set an earlier job's training aside.

    Restarts of a server have the uid of the folder's owner, so they always resume.

    Args:
        run: The run folder.
        job_uid: The uid of the SplitTrainingJob; empty outside of a cluster, where nothing is done.
        start_afresh: Whether a job begins a new training although an earlier job left checkpoints.

    Returns:
        A notice for the user about an earlier job's training; empty if there is none.

    Raises:
        OSError: the folder cannot be written.
    """
    if not job_uid:
        return ""
    owner = run / OWNER_FILE
    previous = owner.read_text(encoding="utf-8") if owner.is_file() else ""
    if previous == job_uid:
        return ""
    _finish_setting_aside(run)
    notice = ""
    if any((run / CHECKPOINTS).glob("*")):
        if start_afresh:
            _set_aside(run)
            notice = f"started afresh; the training of an earlier job was moved to '{run / SET_ASIDE}'"
        else:
            notice = (
                "resumed from a checkpoint of an earlier job on this volume; to begin a new training "
                "instead, set spec.checkpoint.startAfresh in a new job"
            )
    with replacing(owner) as new:
        new.write_text(job_uid, encoding="utf-8")
    return notice


def _set_aside(run: Path) -> None:
    unfinished = run / _PARTIAL
    unfinished.mkdir(exist_ok=True)
    # The checkpoints come last: as long as they are here, the next start moves what is left.
    for entry in sorted(run.iterdir(), key=lambda entry: entry.name == CHECKPOINTS):
        if entry.name not in {_PARTIAL, SET_ASIDE, OWNER_FILE, LOCK_FILE}:
            entry.rename(unfinished / entry.name)
    _finish_setting_aside(run)


def _finish_setting_aside(run: Path) -> None:
    """Rename the folder into which everything was moved, maybe before a crash."""
    unfinished, aside = run / _PARTIAL, run / SET_ASIDE
    if (unfinished / CHECKPOINTS).exists():
        if aside.exists():
            shutil.rmtree(aside)
        unfinished.rename(aside)
