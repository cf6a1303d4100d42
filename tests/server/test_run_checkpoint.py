"""Restoring the checkpoint of a run: which ones are refused, and which are ignored for an older one."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pslgs.server import run_checkpoint
from pslgs.spec import InputError, JobSpec
from pslgs.training.checkpoint import CHECKSUMS, CheckpointStore
from pslgs.training.local_server_model import LocalServerModel
from server.checkpoints import coordinator_state, trained_model
from server.fakes import CLASSES, tiny_spec

PROGRESS = {"figures": {}, "journal_bytes": 0}


@pytest.fixture
def spec() -> JobSpec:
    return tiny_spec(optimizer={"momentum": 0.5})


@pytest.fixture
def store(tmp_path: Path, spec: JobSpec) -> CheckpointStore:
    """The checkpoints of steps 1 and 2."""
    made = CheckpointStore(tmp_path / "checkpoints", keep=2)
    for step in (1, 2):
        rest = run_checkpoint.snapshot(coordinator_state(spec, step), {"a": (1, 2, 3)}, spec, PROGRESS)
        run_checkpoint.save(made, step, trained_model(spec, step), rest)
    return made


def restored(store: CheckpointStore, spec: JobSpec) -> tuple[run_checkpoint.Restored, LocalServerModel]:
    checkpoint = run_checkpoint.load(store)
    assert checkpoint is not None
    model = trained_model(spec, 0)
    return run_checkpoint.restore(store, checkpoint, spec, model, CLASSES), model


def resealed(folder: Path) -> None:
    """Write the checksums anew."""
    names = json.loads((folder / CHECKSUMS).read_text())
    (folder / CHECKSUMS).write_text(json.dumps({name: _checksum(folder / name) for name in names}))


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_checkpoint_comes_back_as_it_was(store, spec):
    back, model = restored(store, spec)
    assert back.checkpoint.step == back.state.step == 2
    assert back.state == coordinator_state(spec, 2)
    assert back.label_counts == {"a": (1, 2, 3)}
    expected = trained_model(spec, 2)
    for name, tensor in expected.named_tensors().items():
        assert torch.equal(tensor, model.named_tensors()[name]), name
    assert len(model.optimizer.state_dict()["state"]) == len(expected.optimizer.state_dict()["state"]) > 0


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        ({"name": "Adam"}, 'spec.optimizer.name: was "SGD" when training started and is now "Adam"'),
        ({"momentum": 0.9}, "spec.optimizer.momentum: was 0.5 when training started and is now 0.9"),
        ({"momentum": 0.5, "learningRate": 2}, "spec.optimizer.learningRate: was 0.01 when training started"),
    ],
    ids=["another optimizer", "another momentum", "another learning rate"],
)
def test_another_training_is_refused_with_the_fields_that_differ(store, optimizer, words):
    with pytest.raises(InputError) as refused:
        restored(store, tiny_spec(optimizer=optimizer))
    assert words in str(refused.value)


def test_fewer_epochs_than_were_begun_are_refused(store, spec):
    state = store.load_latest().state
    begun = {"epoch": 4, "offsets": {"a": 1}}
    with pytest.raises(InputError, match=r"spec\.epochs: is 2, but 4 epochs have been trained or begun"):
        run_checkpoint.check_resumable(540, {**state, "coordinator": {"epoch": begun}}, spec)
    run_checkpoint.check_resumable(
        540, {**state, "coordinator": {"epoch": {"epoch": 3, "offsets": {}}}}, spec
    )


def test_a_checkpoint_of_an_earlier_version_is_told_from_another_jobs_by_the_digest(store, spec):
    state = dict(store.load_latest().state)
    del state["definition"]
    run_checkpoint.check_resumable(2, state, spec)
    with pytest.raises(InputError, match="the checkpoint of step 2 is of a job with another model"):
        run_checkpoint.check_resumable(2, state, tiny_spec(sampling={"seed": 3, "globalBatchSize": 8}))


def remove_tensor(folder: Path, group: str) -> None:
    tensors = load_file(folder / f"{group}.safetensors")
    del tensors[min(tensors)]
    save_file(tensors, folder / f"{group}.safetensors")


def misshape_tensor(folder: Path, group: str) -> None:
    tensors = load_file(folder / f"{group}.safetensors")
    save_file(tensors | {min(tensors): torch.zeros(7)}, folder / f"{group}.safetensors")


@pytest.mark.parametrize("group", ["model", "optimizer"])
@pytest.mark.parametrize("damage", [remove_tensor, misshape_tensor], ids=lambda damage: damage.__name__)
def test_a_resealed_checkpoint_that_does_not_fit_is_ignored_for_the_older(store, spec, group, damage, caplog):
    newest = store.load_latest().path
    damage(newest, group)
    resealed(newest)
    back, model = restored(store, spec)
    assert back.checkpoint.step == back.state.step == 1
    assert f"ignored a checkpoint that does not fit the job, {newest}" in caplog.text
    for name, tensor in trained_model(spec, 1).named_tensors().items():
        assert torch.equal(tensor, model.named_tensors()[name]), name


@pytest.mark.parametrize(
    ("key", "form"),
    [
        *((key, form) for key in ("coordinator", "label_counts", "optimizer") for form in (None, [], "text")),
        ("label_counts", {"a": [1, 2]}),
        ("label_counts", {"a": ["x", "y", "z"]}),
    ],
    ids=str,
)
def test_a_state_of_another_form_is_ignored_for_the_older(store, spec, tmp_path, key, form):
    newest = tmp_path / "checkpoints" / "step-00000002"
    state = json.loads((newest / "state.json").read_text())
    changed = {name: value for name, value in (state | {key: form}).items() if value is not None}
    (newest / "state.json").write_text(json.dumps(changed))
    resealed(newest)
    back, _ = restored(store, spec)
    assert back.state.step == 1


def test_when_no_checkpoint_fits_they_are_all_named_with_a_remedy(store, spec, tmp_path):
    for folder in (tmp_path / "checkpoints").iterdir():
        misshape_tensor(folder, "model")
        resealed(folder)
    with pytest.raises(InputError, match=r"step-00000002: .* has the shape .*step-00000001") as refused:
        restored(store, spec)
    assert "remove the folder to train from the first step on" in str(refused.value)
    assert "initialWeights" not in str(refused.value)
