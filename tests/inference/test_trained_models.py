"""A trained model is rebuilt from its file alone: the same network, in evaluation mode."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import pslgs
from inference.trained import CLASSES, SHAPE, Trained
from pslgs.inference.trained_model import load_model
from pslgs.spec.errors import InputError

INPUTS = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))


def is_rebuilt(model: nn.Module, trained: Trained) -> bool:
    return torch.equal(model(INPUTS), trained.outputs(INPUTS))


def test_the_network_that_was_trained_is_rebuilt_from_the_folder_of_its_run(tmp_path: Path) -> None:
    trained = Trained(tmp_path).finish()
    model = pslgs.load_model(tmp_path)
    assert is_rebuilt(model, trained)
    assert not any(module.training for module in model.modules())
    assert isinstance(model.client_part.get_submodule("conv1.1"), nn.GroupNorm)


def test_the_file_tells_what_its_model_is(tmp_path: Path) -> None:
    Trained(tmp_path).finish()
    description = load_model(tmp_path / "model.safetensors").description
    assert description.classes == CLASSES
    assert description.input_shape == SHAPE
    assert description.replaced_normalization == ("conv1.1", "conv2.1")
    assert [name for name, _ in description.preprocessing.transforms] == ["CenterCrop", "Normalize"]
    assert description.versions["pslgs"]
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["pslgs"])["cut_layer"] == "conv2"


def test_a_checkpoint_is_a_model_too(tmp_path: Path) -> None:
    trained = Trained(tmp_path).save(5)
    assert is_rebuilt(load_model(tmp_path), trained)
    assert is_rebuilt(load_model(tmp_path, "last"), trained)
    assert is_rebuilt(load_model(tmp_path / "checkpoints" / "step-00000005"), trained)


def test_the_model_of_a_run_that_was_resumed_since_is_that_of_its_last_checkpoint(tmp_path: Path) -> None:
    first = Trained(tmp_path).save(5).finish()
    assert is_rebuilt(load_model(tmp_path), first)
    later = Trained(tmp_path).save(9)
    stamp = (tmp_path / "model.safetensors").stat().st_mtime_ns + 1
    os.utime(tmp_path / "checkpoints" / "step-00000009" / "state.json", ns=(stamp, stamp))
    assert is_rebuilt(load_model(tmp_path), later)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        pytest.param({}, "does not describe its model", id="no description"),
        pytest.param({"pslgs": "{}"}, "description is of another version", id="another form"),
    ],
)
def test_a_file_that_does_not_describe_its_model_is_refused(
    tmp_path: Path, metadata: dict[str, str], words: str
) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors", metadata)
    with pytest.raises(InputError, match=words):
        load_model(tmp_path)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    trained = Trained(tmp_path).finish()
    tensors = {name: t.clone() for name, t in trained.network.named_tensors().items()}
    del tensors["head.2.bias"]
    save_file(tensors, tmp_path / "model.safetensors", trained.description.to_metadata())
    with pytest.raises(InputError, match=r"does not fit .* made by pslgs .* lacks head\.2\.bias"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("which", "words"),
    [
        pytest.param("final", "has neither model.safetensors nor a checkpoint", id="nothing there"),
        pytest.param("best", "has no best.safetensors; take the model final or last", id="no best model"),
        pytest.param("first", "name final, last or best", id="unknown name"),
    ],
)
def test_a_model_that_is_not_there_is_refused(tmp_path: Path, which: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_model(tmp_path, which)


def test_a_folder_that_does_not_exist_is_told_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^runs/own does not exist in the working folder {tmp_path}; name"):
        load_model("runs/own")


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="cannot be read as a model"):
        load_model(tmp_path)
