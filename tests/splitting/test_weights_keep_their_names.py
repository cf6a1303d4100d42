"""The tensors of a split network have the names of the whole one, in memory and in files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pslgs.spec.errors import InputError
from pslgs.spec.model import ModelSpec
from pslgs.splitting.architectures import build_model
from pslgs.splitting.network import Model, build_network
from pslgs.splitting.split_network import split_at
from pslgs.splitting.weights_file import load_weights, save_weights
from splitting import user_models


@dataclass(frozen=True)
class Described:
    architecture: str = "cnn"
    options: dict[str, Any] = field(default_factory=lambda: {"width": 4})
    cut_layer: str | None = "conv2"
    freeze: tuple[str, ...] = ()


def plain_cnn(seed: int = 0) -> nn.Module:
    built = build_model("cnn", {"width": 4}, seed)
    assert isinstance(built, nn.Module)
    return built


def test_names_are_those_of_the_whole_in_its_order() -> None:
    whole = plain_cnn()
    expected = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    tensors = split_at(whole, "conv1.2").named_tensors()
    assert list(tensors) == list(expected)
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_tensors_that_are_never_used_are_kept() -> None:
    network = split_at(user_models.SlicedBuffer(), "first")
    assert {"never_used.weight", "never_used.bias", "offsets"} < network.named_tensors().keys()


def test_named_tensors_are_no_copies() -> None:
    network = split_at(plain_cnn(), "conv1")
    with torch.no_grad():
        network.named_tensors()["conv1.0.weight"].zero_()
    assert not any(value.any() for value in [network.client_part.get_parameter("conv1.0.weight")])


def test_a_network_is_built_cut_and_normalised_from_its_description() -> None:
    network = build_network(Described(), seed=4)
    assert isinstance(network.client_part.get_submodule("conv1.1"), nn.GroupNorm)
    assert isinstance(network.server_part.get_submodule("conv3.1"), nn.BatchNorm2d)
    assert torch.equal(
        network.named_tensors()["head.2.weight"], plain_cnn(seed=4).get_parameter("head.2.weight")
    )


def test_the_manifest_is_such_a_description() -> None:
    model: Model = ModelSpec.model_validate({"architecture": "cnn", "cutLayer": "conv1"})
    assert "conv1.0.weight" in build_network(model, seed=0).names


def test_two_given_parts_have_prefixed_names() -> None:
    description = Described(architecture="splitting.user_models:two_parts", options={}, cut_layer=None)
    network = build_network(description, seed=0)
    assert list(network.named_tensors()) == [
        *("client.0.weight", "client.0.bias", "client.1.weight", "client.1.bias"),
        *("server.weight", "server.bias"),
    ]
    assert "client.1.running_mean" in network.replaced


@pytest.mark.parametrize(
    ("architecture", "cut_layer", "words"),
    [
        pytest.param("splitting.user_models:two_parts", "conv1", "must be left out", id="cut twice"),
        pytest.param(
            "splitting.user_models:TiedWeights",
            None,
            "client part, such as first, second, third",
            id="not cut at all",
        ),
    ],
)
def test_a_network_is_cut_exactly_once(architecture: str, cut_layer: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_network(Described(architecture=architecture, options={}, cut_layer=cut_layer), seed=0)


def test_a_saved_network_is_loaded_again_bit_by_bit(tmp_path: Path) -> None:
    network, other = build_network(Described(), seed=1), build_network(Described(), seed=2)
    file = tmp_path / "model.safetensors"
    save_weights(network.named_tensors(), file)
    other.load_named_tensors(load_weights(file, "spec.model.initialWeights"))
    for name, tensor in network.named_tensors().items():
        assert torch.equal(other.named_tensors()[name], tensor), name
    assert "conv3.1.num_batches_tracked" in network.names


def test_tensors_that_share_memory_can_be_saved(tmp_path: Path) -> None:
    network = user_models.TiedWeights()
    save_weights(network.state_dict(), tmp_path / "tied.safetensors")
    loaded = load_weights(tmp_path / "tied.safetensors", "spec.model.initialWeights")
    assert torch.equal(loaded["first.weight"], loaded["second.weight"])


@given(texts=st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=3, max_size=6))
def test_files_of_the_same_weights_and_texts_are_the_same(texts: dict[str, str]) -> None:
    weights = {"b": torch.ones(3), "a": torch.zeros(2, 2)}
    with TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(6)]
        for file in files:
            save_weights(weights, file, texts)
        assert len({file.read_bytes() for file in files}) == 1
        with safe_open(files[0], "pt") as opened:
            assert opened.metadata() == {"format": "pt", **texts}
        assert all(torch.equal(tensor, weights[name]) for name, tensor in load_file(files[0]).items())


def without(name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {other: tensor for other, tensor in tensors.items() if other != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(without("conv1.0.weight"), "the file lacks conv1.0.weight.", id="missing"),
        pytest.param(
            lambda tensors: {**tensors, "fc.weight": torch.zeros(1)},
            "the file has, unknown to this model, fc.weight.",
            id="unexpected",
        ),
        pytest.param(
            lambda tensors: {**tensors, "head.2.bias": torch.zeros(3)},
            "'head.2.bias' has the shape (3,) in the file and (10,) in the model.",
            id="another shape",
        ),
        pytest.param(lambda _: {}, "and 11 more", id="empty"),
    ],
)
def test_weights_of_another_network_are_refused_and_nothing_is_changed(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str
) -> None:
    network = build_network(Described(), seed=1)
    before = {name: tensor.clone() for name, tensor in network.named_tensors().items()}
    tensors = change({name: torch.zeros_like(tensor) for name, tensor in before.items()})
    with pytest.raises(InputError) as refused:
        network.load_named_tensors(tensors)
    (violation,) = refused.value.violations
    assert violation.path == "spec.model.initialWeights"
    assert message in violation.problem
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.named_tensors().items())
