"""Locks that the kernel releases, and the private folder that a killed process leaves to the next one."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile

import pytest

from pslgs.file_lock import locked
from pslgs.launch.scratch_folder import scratch_folder

HOLD = """
import sys
from pathlib import Path
from pslgs.file_lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""
ANCIENT = (0, 0)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_lock_is_held_once_and_ends_with_its_process(tmp_path):
    file = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(BlockingIOError), locked(file):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(file):
            pass


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "lock"):
        assert "on a file system without locks: No locks available" in caplog.text


def test_a_scratch_folder_is_private_and_removed(temporary):
    with scratch_folder() as folder:
        (folder / "key").write_text("secret")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_by_the_next_one(temporary):
    left = temporary / "pslgs-run-left"
    (left / "clients").mkdir(parents=True)
    (left / "clients" / "key").write_text("secret")
    os.utime(left, ANCIENT)
    with scratch_folder():
        assert not left.exists()


def test_folders_in_use_young_ones_and_those_of_others_stay(temporary):
    old, young, other = (temporary / name for name in ("pslgs-run-old", "pslgs-run-young", "pslgs-x"))
    for folder in (old, young, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, ANCIENT)
    with locked(old), scratch_folder():
        assert all(folder.exists() for folder in (old, young, other))
