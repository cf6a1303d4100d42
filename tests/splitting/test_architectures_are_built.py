"""A name and options become a network with reproducible weights, or an error that says what to write."""

from typing import Any

import pytest
import torch
from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.architectures import architectures, build_model
from splitting.user_models import TwoOutputs


def built(architecture: str, seed: int = 0, **options: Any) -> nn.Module:
    network = build_model(architecture, options, seed)
    assert isinstance(network, nn.Module)
    return network


@pytest.mark.parametrize(
    ("architecture", "options", "shape"),
    [
        pytest.param("mlp", {"inputs": 64, "hidden": [32, 16], "outputs": 10}, (8, 8), id="mlp"),
        pytest.param("mlp", {"inputs": 4, "hidden": [], "outputs": 10}, (4,), id="mlp without hidden layers"),
        pytest.param("cnn", {"channels": 1, "classes": 10, "width": 4}, (1, 8, 8), id="cnn"),
        pytest.param("resnet18-cifar", {}, (3, 32, 32), id="resnet18-cifar"),
        pytest.param("mobilenet_v3_small", {"num_classes": 10}, (3, 32, 32), id="mobilenet_v3_small"),
        pytest.param("googlenet", {"num_classes": 10}, (3, 64, 64), id="googlenet"),
    ],
)
def test_networks_give_a_row_of_outputs_for_each_sample(
    architecture: str, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    assert built(architecture, **options)(torch.zeros(2, *shape)).shape == (2, 10)


def test_resnet18_cifar_keeps_the_resolution_before_its_first_blocks() -> None:
    network = built("resnet18-cifar")
    stem = nn.Sequential(*list(network.children())[:5])
    assert stem(torch.zeros(1, 3, 32, 32)).shape == (1, 64, 32, 32)
    assert isinstance(network.get_submodule("maxpool"), nn.Identity)


def test_layers_of_the_mlp_have_the_documented_names() -> None:
    network = built("mlp", inputs=4, hidden=[3, 3], outputs=2, dropout=0.5)
    assert [name for name, _ in network.named_children()] == ["flatten", "hidden1", "hidden2", "output"]
    assert [type(layer) for layer in network.get_submodule("hidden1")] == [nn.Linear, nn.ReLU, nn.Dropout]


def test_weights_follow_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = built("cnn", seed=5, width=4).state_dict()
    torch.manual_seed(2)
    again = built("cnn", seed=5, width=4).state_dict()
    other = built("cnn", seed=6, width=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.0.weight"], other["conv1.0.weight"])


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    built("cnn", width=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_function_of_the_user_is_called_with_the_options() -> None:
    client_part, server_part = build_model("splitting.user_models:two_parts", {"width": 5}, 0)
    assert client_part[0].out_features == server_part.in_features == 5


def test_a_class_of_the_user_is_a_builder_too() -> None:
    assert isinstance(built("splitting.user_models:TwoOutputs"), TwoOutputs)


def test_all_names_are_listed_ours_first() -> None:
    names = architectures()
    assert names[:3] == ("mlp", "cnn", "resnet18-cifar")
    assert {"resnet18", "vit_b_16", "convnext_tiny"} <= set(names)
    assert not any("fcos" in name or "deeplab" in name or "quantized" in name for name in names)


@pytest.mark.parametrize(
    ("architecture", "options", "path", "words"),
    [
        pytest.param("resnet81", {}, "architecture", ["'resnet81'", "resnet18"], id="misspelt"),
        pytest.param("zzz", {}, "architecture", ["mlp, cnn, resnet18-cifar"], id="nothing near"),
        pytest.param(
            "resnet18", {"classes": 3}, "options", ["'classes'", "num_classes", "groups"], id="torchvision"
        ),
        pytest.param(
            "mlp", {"inputs": 3}, "options", ["'hidden'", "inputs, hidden, outputs, dropout"], id="missing"
        ),
        pytest.param("cnn", {"width": -1}, "options", ["channels, classes, width"], id="impossible"),
        pytest.param(
            "mlp", {"inputs": "a", "hidden": [], "outputs": 1}, "options", ["it accepts"], id="wrong type"
        ),
        pytest.param("resnet18", {"weights": "DEFAULT"}, "options.weights", ["initialWeights"], id="weights"),
        pytest.param(
            "resnet18", {"pretrained": True}, "options.pretrained", ["initialWeights"], id="pretrained"
        ),
        pytest.param(
            "nowhere.at_all:build", {}, "architecture", ["'nowhere.at_all' cannot be imported"], id="module"
        ),
        pytest.param("splitting.user_models:gone", {}, "architecture", ["no function 'gone'"], id="function"),
        pytest.param(
            "splitting.user_models:not_a_function", {}, "architecture", ["no function"], id="no function"
        ),
        pytest.param("splitting.user_models:", {}, "architecture", ["package.module:function"], id="form"),
        pytest.param(
            "splitting.user_models:no_network", {}, "architecture", ["must return an nn.Module"], id="int"
        ),
        pytest.param("splitting.user_models:no_parts", {}, "architecture", ["the pair"], id="no parts"),
        pytest.param(
            "splitting.user_models:meta_network", {}, "architecture", ["'0.weight'", "meta"], id="meta"
        ),
        pytest.param(
            "splitting.user_models:nan_network", {}, "architecture", ["'1.bias'", "not finite"], id="NaN"
        ),
        pytest.param("splitting.user_models:lazy_network", {}, "architecture", ["lazy layers"], id="lazy"),
        pytest.param(
            "splitting.user_models:needs_a_width", {}, "options", ["it accepts: width"], id="user's options"
        ),
    ],
)
def test_what_cannot_be_built_is_refused(
    architecture: str, options: dict[str, Any], path: str, words: list[str]
) -> None:
    with pytest.raises(InputError) as refused:
        build_model(architecture, options, 0)
    (violation,) = refused.value.violations
    assert violation.path == f"spec.model.{path}"
    assert [word for word in words if word not in violation.problem] == []
    assert "\n" not in violation.problem


def test_a_request_for_no_weights_is_fine() -> None:
    assert isinstance(built("resnet18", weights=None, num_classes=2), nn.Module)
