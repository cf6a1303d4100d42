"""Initial weights come from a file of any usual kind; what does not fit is named with the remedy."""

import argparse
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pslgs.spec.errors import InputError
from pslgs.spec.model import InitialWeights, ModelSpec
from pslgs.splitting.architectures import build_model
from pslgs.splitting.initial_weights import LoadedWeights, load_initial_weights
from pslgs.splitting.network import build_network
from pslgs.splitting.split_network import SplitNetwork

Tensors = dict[str, Tensor]


def network(classes: int = 10) -> SplitNetwork:
    options = {"width": 4, "classes": classes}
    return build_network(ModelSpec(architecture="cnn", options=options, cut_layer="conv2"), seed=0)


def backbone() -> Tensors:
    """The weights of the whole network before it was cut, with BatchNorm, from another seed."""
    built = build_model("cnn", {"width": 4}, 9)
    assert isinstance(built, nn.Module)
    return dict(built.state_dict())


def load(file: Path, into: SplitNetwork | None = None, **fields: Any) -> tuple[SplitNetwork, LoadedWeights]:
    chosen = into or network()
    return chosen, load_initial_weights(chosen, InitialWeights.model_validate({"path": str(file), **fields}))


def refused(file: Path, into: SplitNetwork | None = None, **fields: Any) -> str:
    chosen = into or network()
    before = {name: tensor.clone() for name, tensor in chosen.named_tensors().items()}
    with pytest.raises(InputError) as error:
        load(file, chosen, **fields)
    assert all(torch.equal(tensor, before[name]) for name, tensor in chosen.named_tensors().items())
    return str(error.value)


def equal(loaded: SplitNetwork, wanted: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(tensor, wanted[name]) for name, tensor in loaded.named_tensors().items())


def legacy(content: Any, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param("w.safetensors", save_file, id="safetensors"),
        pytest.param("w.pth", torch.save, id="state dict"),
        pytest.param("w.pt", legacy, id="written by an old PyTorch"),
        pytest.param(
            "w.pth.tar",
            lambda tensors, file: torch.save({"epoch": torch.tensor(3), "state_dict": tensors}, file),
            id="training checkpoint",
        ),
        pytest.param(
            "w.ckpt",
            lambda tensors, file: torch.save({"model": OrderedDict(tensors), "lr": 0.1}, file),
            id="nested under model",
        ),
        pytest.param(
            "w", lambda tensors, file: torch.save({"model_state_dict": tensors}, file), id="without suffix"
        ),
        pytest.param("w.pth", save_file, id="safetensors with another suffix"),
    ],
)
def test_the_whole_of_a_file_is_loaded(
    tmp_path: Path, name: str, write: Callable[[Tensors, Path], None]
) -> None:
    tensors = backbone()
    write(tensors, tmp_path / name)
    loaded, report = load(tmp_path / name)
    assert equal(loaded, tensors)
    assert list(report.loaded) == list(loaded.names)
    assert "conv1.1.running_mean" in report.statistics
    assert "loaded 14 of 14 tensors" in str(report)
    assert "group normalisation" in str(report)


@pytest.mark.parametrize("strip", ["module.", "module"])
def test_a_prefix_is_stripped(tmp_path: Path, strip: str) -> None:
    tensors = backbone()
    save_file({f"module.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "w.safetensors")
    assert "All of its names begin with 'module.'; set strip: 'module.'" in refused(
        tmp_path / "w.safetensors"
    )
    loaded, _ = load(tmp_path / "w.safetensors", strip=strip)
    assert equal(loaded, tensors)


def test_a_prefix_that_no_name_has_is_refused(tmp_path: Path) -> None:
    save_file(backbone(), tmp_path / "w.safetensors")
    assert "initialWeights.strip: is 'modul.', with which no name in the file begins" in refused(
        tmp_path / "w.safetensors", strip="modul."
    )


def test_a_head_of_other_classes_is_refused_with_the_remedy_and_then_excepted(tmp_path: Path) -> None:
    tensors = backbone()
    save_file(tensors, tmp_path / "w.safetensors")
    message = refused(tmp_path / "w.safetensors", network(classes=3))
    assert "'head.2.weight' has the shape (10, 16) in the file and (3, 16) in the model" in message
    assert "set except: [head.2]" in message
    random = network(classes=3).named_tensors()
    loaded, report = load(tmp_path / "w.safetensors", network(classes=3), **{"except": ["head"]})
    assert equal(
        loaded, {**tensors, "head.2.weight": random["head.2.weight"], "head.2.bias": random["head.2.bias"]}
    )
    assert list(report.excepted) == ["head.2.weight", "head.2.bias"]
    assert "kept random as excepted: head.2.weight, head.2.bias" in str(report)


def test_shapes_must_be_equal_even_if_not_strict(tmp_path: Path) -> None:
    save_file(backbone(), tmp_path / "w.safetensors")
    assert "set except: [head.2]" in refused(tmp_path / "w.safetensors", network(classes=3), strict=False)


def test_a_misspelt_exception_is_refused(tmp_path: Path) -> None:
    save_file(backbone(), tmp_path / "w.safetensors")
    message = refused(tmp_path / "w.safetensors", **{"except": ["haed"]})
    assert "initialWeights.except[0]: is 'haed', which neither the model nor the file has" in message
    assert "head" in message.split("similar are")[1]


def test_a_file_without_a_head_needs_strict_false_or_an_exception(tmp_path: Path) -> None:
    headless = {name: tensor for name, tensor in backbone().items() if not name.startswith("head")}
    save_file({**headless, "extra.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    message = refused(tmp_path / "w.safetensors")
    assert "lacks head.2.weight, head.2.bias; the file has, unknown to this model, extra.weight" in message
    assert "Set except: [head.2, extra]" in message
    _, lenient = load(tmp_path / "w.safetensors", strict=False)
    assert list(lenient.lacking) == ["head.2.weight", "head.2.bias"]
    assert list(lenient.unknown) == ["extra.weight"]
    assert "ignored, as the network lacks them: extra.weight" in str(lenient)
    _, excepted = load(tmp_path / "w.safetensors", **{"except": ["head", "extra"]})
    assert not excepted.lacking
    assert not excepted.unknown


def test_weights_of_another_architecture_are_refused_even_if_not_strict(tmp_path: Path) -> None:
    save_file({"features.0.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    assert "the file lacks conv1.0.weight" in refused(tmp_path / "w.safetensors", strict=False)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_converted_and_reported(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in backbone().items()
    }
    save_file(tensors, tmp_path / "w.safetensors")
    loaded, report = load(tmp_path / "w.safetensors")
    assert equal(loaded, {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    assert f"converted from {str(dtype).removeprefix('torch.')}" in str(report)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda t: t.to(torch.int8), "is of int8", id="quantized"),
        pytest.param(lambda t: t * torch.nan, "not finite", id="not finite"),
        pytest.param(lambda t: t.double() + 1e300, "not finite as float32", id="too large for the network"),
    ],
)
def test_numbers_that_are_no_weights_are_refused(
    tmp_path: Path, change: Callable[[Tensor], Tensor], words: str
) -> None:
    tensors = backbone()
    save_file({**tensors, "conv2.0.weight": change(tensors["conv2.0.weight"])}, tmp_path / "w.safetensors")
    message = refused(tmp_path / "w.safetensors")
    assert "'conv2.0.weight'" in message
    assert words in message


def test_counters_of_batches_that_old_files_lack_are_not_needed(tmp_path: Path) -> None:
    tensors = {name: t for name, t in backbone().items() if not name.endswith("num_batches_tracked")}
    save_file(tensors, tmp_path / "w.safetensors")
    _, report = load(tmp_path / "w.safetensors")
    assert not report.lacking


def test_one_of_two_tied_tensors_is_enough(tmp_path: Path) -> None:
    described = ModelSpec(architecture="splitting.user_models:TiedWeights", cut_layer="first")
    with pytest.raises(InputError, match="both sides"):
        build_network(described, seed=0)
    tied = build_network(described.model_copy(update={"cut_layer": "second"}), seed=0)
    tensors = {name: t.clone() for name, t in tied.named_tensors().items() if name != "second.weight"}
    save_file(tensors, tmp_path / "w.safetensors")
    _, report = load(tmp_path / "w.safetensors", tied)
    assert "second.weight" in report.loaded


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "cannot be read (No such file or directory)", id="no file"),
        pytest.param(b"PK not an archive", "is not a PyTorch file of weights", id="broken archive"),
        pytest.param(b"\x80\x02junk", "is not a PyTorch file of weights", id="broken pickle"),
        pytest.param(b"", "is neither a safetensors nor a PyTorch file", id="empty"),
        pytest.param(b"<html>404</html>", "is neither a safetensors nor a PyTorch file", id="a web page"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "start.pth"
    if content is not None:
        file.write_bytes(content)
    message = refused(file)
    assert message.startswith(f"spec.model.initialWeights.path: '{file}'")
    assert words in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param({"state_dict": {}, "epoch": 1}, "it holds epoch, state_dict", id="nothing in it"),
        pytest.param([1, 2], "it holds list", id="a list"),
        pytest.param(
            {"state_dict": {}, "arguments": argparse.Namespace(lr=1)},
            "holds more than tensors (argparse.Namespace), which is not read, because it could run code",
            id="other objects",
        ),
        pytest.param(nn.Linear(2, 2), "holds more than tensors", id="a whole module"),
    ],
)
def test_a_pytorch_file_is_read_for_its_tensors_only(tmp_path: Path, content: Any, words: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert words in refused(tmp_path / "w.pth")


def test_a_relative_path_says_from_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"relative paths start from {tmp_path}" in refused(Path("w.pth"))


def test_a_folder_stands_for_the_weights_in_it(tmp_path: Path) -> None:
    tensors = backbone()
    assert "is a folder without any of model.safetensors" in refused(tmp_path)
    names = list(tensors)
    save_file({name: tensors[name] for name in names[:5]}, tmp_path / "part-1.safetensors")
    save_file({name: tensors[name] for name in names[5:]}, tmp_path / "part-2.safetensors")
    parts = {name: f"part-{1 + (index >= 5)}.safetensors" for index, name in enumerate(names)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    loaded, _ = load(tmp_path)
    assert equal(loaded, tensors)
