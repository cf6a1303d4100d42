import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pslgs.training.checkpoint import CheckpointError, CheckpointStore

SAVER = Path(__file__).with_name("crashing_saver.py")


@pytest.fixture
def folder():
    """A folder in memory, where the many syncs cost nothing; kills do not need a disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name) / "checkpoints"


def steps_after_kills(kind, folder):
    saver = subprocess.run([sys.executable, SAVER, kind, folder], capture_output=True, text=True, check=False)
    assert saver.returncode == 0, saver.stderr
    return json.loads(saver.stdout)


@pytest.mark.slow
def test_a_kill_before_any_file_operation_leaves_the_old_or_the_new_checkpoint(folder):
    found = steps_after_kills("every_operation", folder)

    assert found == sorted(found)
    assert set(found) == {1, 2}
    assert len(found) > 20


@pytest.mark.slow
def test_kills_at_random_moments_never_lose_a_checkpoint(folder):
    found = steps_after_kills("random_moments", folder)

    assert found == sorted(found)
    assert found[-1] > 3


@pytest.fixture
def full_disk(tmp_path):
    """A disk with room for one checkpoint of 40,000 numbers, not for two."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_keeps_the_last_checkpoint_and_its_room(full_disk, groups):
    store = CheckpointStore(full_disk / "checkpoints", keep=1)
    store.save(1, groups(1, 40_000), {})

    with pytest.raises(CheckpointError, match=r"step 2.*No space left"):
        store.save(2, groups(2, 40_000), {})

    assert store.load_latest().step == 1
    assert [path.name for path in (full_disk / "checkpoints").iterdir()] == ["step-00000001"]
    store.save(3, groups(3, 20_000), {})
    assert store.load_latest().step == 3


def test_a_full_disk_while_the_state_is_written_is_no_different(full_disk, groups):
    store = CheckpointStore(full_disk / "checkpoints", keep=1)
    store.save(1, groups(1), {})

    with pytest.raises(CheckpointError, match="No space left"):
        store.save(2, groups(2), {"pool": list(range(200_000))})

    assert store.load_latest().step == 1


@pytest.fixture
def small_files():
    """Let the process write files of at most 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_may_not_grow_keeps_the_last_checkpoint(tmp_path, groups, small_files):
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, groups(1), {})

    with pytest.raises(CheckpointError, match="File too large"):
        store.save(2, groups(2, 40_000), {})

    assert store.load_latest().step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_store(tmp_path, groups):
    (tmp_path / "file").write_text("")

    with pytest.raises(CheckpointError, match="cannot write the checkpoint of step 1"):
        CheckpointStore(tmp_path / "file" / "checkpoints", keep=1).save(1, groups(1), {})


def test_everything_is_on_the_disk_before_the_checkpoint_gets_its_name(tmp_path, groups, monkeypatch):
    happened = []
    fsync, rename = os.fsync, Path.rename

    def noting_fsync(descriptor):
        happened.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def noting_rename(path, target):
        happened.append("renamed")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "rename", noting_rename)
    CheckpointStore(tmp_path, keep=1).save(1, groups(1), {})

    files = {"model.safetensors", "optimizer.safetensors", "state.json", "checksums.json"}
    assert set(happened[:4]) == files
    assert happened[4:] == ["unfinished-step-00000001", "renamed", tmp_path.name]
