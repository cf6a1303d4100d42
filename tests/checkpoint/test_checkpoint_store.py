import errno
import itertools
import json
import os
from pathlib import Path

import pytest
import torch

from pslgs.training.checkpoint import CheckpointError, CheckpointStore, Damage


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "checkpoints"


@pytest.fixture
def store(folder):
    return CheckpointStore(folder, keep=2)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_there_is_nothing_to_load_before_the_first_save(store):
    assert store.load_latest() is None


def test_what_is_saved_is_loaded_bit_for_bit(store):
    tensors = {
        "doubles": torch.tensor([0.1, float("nan"), float("inf"), 5e-324], dtype=torch.float64),
        "halves": torch.tensor([0.1, -3.0], dtype=torch.bfloat16),
        "integers": torch.tensor([2**62]),
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
        "truths": torch.tensor([True, False]),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
    }
    state = {"random": [2**130, 1], "epoch": {"pool": [3, 1, 2], "name": "é"}, "nothing": None, "lr": 0.1}

    store.save(500, {"model": tensors, "optimizer": {}}, state)

    loaded = store.load_latest()
    assert loaded.step == 500
    assert loaded.state == state
    assert loaded.damaged == ()
    assert set(loaded.tensors) == {"model", "optimizer"}
    assert loaded.tensors["model"].keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(loaded.tensors["model"][name], tensor, rtol=0, atol=0, equal_nan=True)


def test_tied_and_overlapping_tensors_are_saved_each_on_its_own(store):
    vector = torch.arange(10.0)

    store.save(1, {"model": {"a": vector, "b": vector, "head": vector[:3], "tail": vector[3:]}}, {})

    model = store.load_latest().tensors["model"]
    assert torch.equal(model["a"], vector)
    assert torch.equal(model["b"], vector)
    assert torch.equal(model["tail"], vector[3:])


def test_loaded_tensors_do_not_need_their_files(store, folder, groups):
    store.save(1, groups(1), {})
    loaded = store.load_latest()

    for path in (folder / "step-00000001").iterdir():
        path.write_bytes(b"")

    assert loaded.tensors["model"]["layer.weight"].sum() == 100


def test_saved_parameters_need_not_be_detached(store):
    store.save(1, {"model": {"weight": torch.nn.Parameter(torch.ones(2))}}, {})

    assert not store.load_latest().tensors["model"]["weight"].requires_grad


def test_the_last_ones_are_kept_and_the_newest_is_loaded(store, folder, groups):
    for step in (5, 10, 9_999_999, 123_456_789):
        store.save(step, groups(step), {"step": step})

    assert names(folder) == ["step-09999999", "step-123456789"]
    assert store.load_latest().step == 123_456_789


def test_a_second_checkpoint_of_a_step_takes_the_place_of_the_first(store, folder, groups):
    for attempt in range(3):
        store.save(5, groups(5), {"attempt": attempt})
    store.save(4 + 2, groups(6), {})

    assert names(folder) == ["step-00000005.2", "step-00000006"]
    CheckpointStore(folder, keep=1).save(6, groups(6), {"last": True})
    assert names(folder) == ["step-00000006.1"]
    assert store.load_latest().state == {"last": True}


def test_what_a_crash_left_unfinished_is_not_loaded_and_removed_by_the_next_save(store, folder, groups):
    leftover = folder / "unfinished-step-00000010"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"half")

    assert store.load_latest() is None
    store.save(5, groups(5), {})

    assert names(folder) == ["step-00000005"]


def test_other_files_in_the_folder_are_left_alone(store, folder, groups):
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    for step in (1, 2, 3):
        store.save(step, groups(step), {})

    assert names(folder) == ["notes.txt", "step-00000002", "step-00000003"]


def test_files_can_be_read_by_whom_the_umask_allows(store, folder, groups):
    store.save(1, groups(1), {})

    modes = {path.stat().st_mode & 0o777 for path in (folder / "step-00000001").iterdir()}
    umask = os.umask(0)
    os.umask(umask)
    assert modes == {0o666 & ~umask}


def test_keeping_no_checkpoint_is_refused(folder):
    with pytest.raises(ValueError, match="at least one"):
        CheckpointStore(folder, keep=0)


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_another_type(path: Path) -> None:
    path.write_text("[]")


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.safetensors", "state.json", "checksums.json"]
)
@pytest.mark.parametrize(
    "damage",
    [remove, truncate, empty, flip_a_bit, replace_by_another_type],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_checkpoint_is_passed_over_and_named(store, folder, groups, file, damage):
    store.save(1, groups(1), {"step": 1})
    store.save(2, groups(2), {"step": 2})
    damage(folder / "step-00000002" / file)

    loaded = store.load_latest()

    assert loaded.state == {"step": 1}
    assert [passed.path.name for passed in loaded.damaged] == ["step-00000002"]
    assert loaded.damaged[0].reason


def test_a_file_with_a_right_checksum_that_is_no_tensor_file_is_damage_too(store, folder, groups):
    store.save(1, groups(1), {})
    store.save(2, groups(2), {})
    newest = folder / "step-00000002"
    checksums = json.loads((newest / "checksums.json").read_text())
    (newest / "model.safetensors").write_bytes(b"")
    checksums["model.safetensors"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (newest / "checksums.json").write_text(json.dumps(checksums))

    assert store.load_latest().step == 1


def test_when_all_are_damaged_the_error_names_them_all(store, folder, groups):
    for step in (1, 2):
        store.save(step, groups(step), {})
        remove(folder / f"step-0000000{step}" / "state.json")

    with pytest.raises(CheckpointError, match=r"step-00000002.*step-00000001"):
        store.load_latest()


def test_a_run_that_went_back_behind_a_damaged_checkpoint_replaces_it(folder, groups):
    store = CheckpointStore(folder, keep=1)
    CheckpointStore(folder, keep=2).save(500, groups(500), {})
    CheckpointStore(folder, keep=2).save(1000, groups(1000), {})
    empty(folder / "step-00001000" / "state.json")

    store.save(750, groups(750), {})

    assert names(folder) == ["step-00000750"]
    assert store.load_latest().damaged == ()


def test_a_checkpoint_that_does_not_fit_is_passed_over_like_a_damaged_one(store, folder, groups):
    for step in (1, 2):
        store.save(step, groups(step), {"step": step})
    newest = store.load_latest()
    unfit = Damage(newest.path, "it has a tensor too few")

    loaded = store.load_latest([unfit])

    assert (loaded.step, loaded.damaged) == (1, (unfit,))
    with pytest.raises(CheckpointError, match=r"none of the checkpoints in .* can be used.*a tensor too few"):
        store.load_latest([unfit, Damage(loaded.path, "it has a tensor too many")])


def test_the_newest_intact_state_is_read_without_its_tensors(store, folder, groups):
    assert store.latest_state() is None
    for step in (1, 2):
        store.save(step, groups(step), {"step": step})
    empty(folder / "step-00000002" / "model.safetensors")
    assert store.latest_state() == (2, {"step": 2})
    flip_a_bit(folder / "step-00000002" / "state.json")
    assert store.latest_state() == (1, {"step": 1})


def test_a_file_in_place_of_the_folder_is_told_and_not_taken_for_an_empty_one(tmp_path):
    path = tmp_path / "checkpoints"
    path.write_text("")
    for read in (CheckpointStore(path, keep=1).load_latest, CheckpointStore(path, keep=1).latest_state):
        with pytest.raises(CheckpointError, match=r"folder .*checkpoints cannot be read \(Not a directory\)"):
            read()


def test_a_folder_without_access_is_told(store, monkeypatch):
    def refuse(_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(CheckpointError, match=r"cannot be read \(Permission denied\); give this user access"):
        store.load_latest()


@pytest.mark.parametrize(
    "fails",
    [*({call} for call in range(8)), *(range(first, 1000) for first in range(8))],
    ids=[*(f"call {call}" for call in range(8)), *(f"from call {first} on" for first in range(8))],
)
def test_a_listing_that_fails_loses_no_checkpoint(store, folder, groups, monkeypatch, fails):
    store.save(1, groups(1), {})
    calls = itertools.count()

    def failing(function):
        def listed(path):
            if next(calls) in fails:
                raise OSError(errno.ENOMEM, "Cannot allocate memory", str(path))
            return function(path)

        return listed

    with monkeypatch.context() as patch:
        for name in ("listdir", "scandir"):
            patch.setattr(os, name, failing(getattr(os, name)))
        try:
            store.save(2, groups(2), {})
            newest = 2
        except CheckpointError:
            newest = 1

    assert store.load_latest().step == newest
    for step in (3, 4):
        store.save(step, groups(step), {})
    assert names(folder) == ["step-00000003", "step-00000004"]
