"""Want of memory for a single process, by the control groups of Linux (version 1)."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup/memory")
_NOTHING, _EVERYTHING = "4096", "-1"
_REMOVAL_SECONDS = 10.0


def can_be_withheld() -> bool:
    """Return whether this user may do so on this machine."""
    return os.access(_GROUPS / "memory.oom_control", os.W_OK)


@contextmanager
def withheld(pid: int) -> Iterator[None]:
    """Give a process no more memory while the block runs: threads that need some stand still."""
    with _group(pid, oom_kill_disable="1"):
        yield


@contextmanager
def used_up(pid: int) -> Iterator[None]:
    """Let the kernel end a process, as soon as it needs more memory; the block waits for its end."""
    with _group(pid, oom_kill_disable="0"):
        yield


@contextmanager
def _group(pid: int, oom_kill_disable: str) -> Iterator[None]:
    group = _GROUPS / f"pslgs-chaos-{pid}"
    before = _GROUPS / _group_of(pid)
    group.mkdir()
    try:
        (group / "memory.oom_control").write_text(oom_kill_disable)
        (group / "memory.limit_in_bytes").write_text(_NOTHING)
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        (group / "memory.limit_in_bytes").write_text(_EVERYTHING)
        with suppress(ProcessLookupError):
            (before / "cgroup.procs").write_text(str(pid))
        _remove(group)


def _remove(group: Path) -> None:
    """Remove a group whose process may be about to end, of which Linux does not tell."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _group_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
    return next(path for _, kind, path in (line.split(":", 2) for line in lines) if kind == "memory").strip(
        "/"
    )
