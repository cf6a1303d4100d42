"""The two parts composed equal the whole: output, gradients and BatchNorm statistics, in both modes."""

from copy import deepcopy
from functools import cache, lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pslgs.splitting.architectures import build_model
from pslgs.splitting.group_norm import group_norm_of
from pslgs.splitting.network import group_normalised
from pslgs.splitting.split_network import split_at
from splitting import user_models
from splitting.steps import Step, assert_equal_steps, from_the_same_start, split_step, whole_step

MODES = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])

OPTIONS: dict[str, dict[str, Any]] = {
    "mlp": {"inputs": 12, "hidden": [8, 6], "outputs": 3, "dropout": 0.3},
    "cnn": {"width": 4, "classes": 5},
}
NARROW = "splitting.narrow_networks:narrow_resnet18_cifar"
SHAPES = {"mlp": (3, 4, 1), "cnn": (3, 8, 8), "resnet18-cifar": (3, 8, 8), NARROW: (3, 8, 8)}
IMAGE = (3, 48, 48)

SMALL_CUTS = {
    "mlp": (
        "hidden1",
        "hidden1.0",
        "hidden1.1",
        "hidden1.2",
        "hidden2",
        "hidden2.0",
        "hidden2.1",
        "hidden2.2",
    ),
    "cnn": (
        *(f"conv{block}{layer}" for block in (1, 2, 3) for layer in ("", ".0", ".1", ".2", ".3")),
        "head.0",
        "head.1",
    ),
    "resnet18-cifar": (
        "conv1",
        "bn1",
        "relu",
        "maxpool",
        "layer1",
        "layer1.0.bn2",
        "layer2.0.downsample",
        "avgpool",
    ),
}
TORCHVISION_CUTS = {
    "resnet18": ("bn1", "layer1", "layer1.0.conv1", "layer2.0.downsample.0", "layer4.1.bn2"),
    "resnet34": ("maxpool", "layer2.2", "layer3.5.relu"),
    "resnet50": ("bn1", "layer1.2.conv3", "layer3"),
    "mobilenet_v3_small": ("features.0", "features.1.block.1.fc1", "features.4.block.0.1", "features.12"),
    "efficientnet_b0": ("features.1", "features.2.1.block", "features.3.1.stochastic_depth"),
    "densenet121": ("features", "features.relu0", "features.denseblock2.denselayer2.conv1"),
    "convnext_tiny": ("features.0", "features.1.1.block.3", "features.3.0.stochastic_depth"),
}
NARROW_CUTS = {
    "splitting.narrow_networks:narrow_vgg11_bn": ("features", "features.1", "classifier.2"),
    "splitting.narrow_networks:narrow_vit_b_16": (
        "conv_proj",
        "encoder.dropout",
        "encoder.layers.encoder_layer_1.self_attention",
        "encoder.layers.encoder_layer_2.mlp.0",
        "encoder.ln",
    ),
}


def each_cut(table: dict[str, tuple[str, ...]]) -> pytest.MarkDecorator:
    cases = [
        pytest.param(
            name,
            cut,
            id=f"{name.rpartition(':')[2]}-{cut}",
            marks=[pytest.mark.slow] * (name not in ("mlp", "cnn")),
        )
        for name, cuts in table.items()
        for cut in cuts
    ]
    return pytest.mark.parametrize(("architecture", "cut_layer"), cases)


@MODES
@each_cut(SMALL_CUTS)
def test_our_networks_are_the_same_in_two_parts(architecture: str, cut_layer: str, *, training: bool) -> None:
    check_cut(architecture, cut_layer, training=training)


@pytest.mark.slow
@each_cut(TORCHVISION_CUTS)
def test_torchvision_networks_are_the_same_in_two_parts(architecture: str, cut_layer: str) -> None:
    check_cut(architecture, cut_layer, training=True)


@pytest.mark.slow
@each_cut(TORCHVISION_CUTS)
def test_torchvision_networks_evaluate_the_same_in_two_parts(architecture: str, cut_layer: str) -> None:
    check_cut(architecture, cut_layer, training=False)


@pytest.mark.slow
@MODES
@each_cut(NARROW_CUTS)
def test_narrow_networks_are_the_same_in_two_parts(
    architecture: str, cut_layer: str, *, training: bool
) -> None:
    check_cut(architecture, cut_layer, training=training)


@pytest.mark.slow
@MODES
def test_resnet18_cifar_is_the_same_in_two_parts_at_every_layer(*, training: bool) -> None:
    layers = layers_of(NARROW)
    assert layers == layers_of("resnet18-cifar")
    assert len(layers) == 67
    for cut_layer in layers:
        if cut_layer != "fc":
            check_cut(NARROW, cut_layer, training=training)


@pytest.mark.parametrize(
    ("architecture", "no_cuts"),
    [
        pytest.param("mlp", {"flatten", "output"}, id="mlp"),
        pytest.param("cnn", {"head", "head.2"}, id="cnn"),
    ],
)
def test_every_layer_of_the_small_networks_is_tested(architecture: str, no_cuts: set[str]) -> None:
    assert {*SMALL_CUTS[architecture]} == {*layers_of(architecture)} - no_cuts


@pytest.mark.slow
@MODES
@each_cut({"cnn": SMALL_CUTS["cnn"], "resnet18-cifar": ("bn1", "layer1", "layer2.0.downsample", "avgpool")})
def test_they_are_the_same_with_group_norm_before_the_cut(
    architecture: str, cut_layer: str, *, training: bool
) -> None:
    reference, parts = deepcopy(network_of(architecture)), deepcopy(network_of(architecture))
    split = group_normalised(split_at(parts, cut_layer))
    for name in {name.rpartition(".")[0] for name in split.replaced}:
        parent, _, field = name.rpartition(".")
        layer = reference.get_submodule(name)
        assert isinstance(layer, nn.BatchNorm2d)
        setattr(reference.get_submodule(parent), field, group_norm_of(layer))
    samples = samples_of(SHAPES[architecture])
    expected = whole_step(reference, samples, training=training)
    assert_equal_steps(split_step(split, samples, training=training), expected)


@pytest.mark.parametrize(
    ("network", "cut_layer", "shape"),
    [
        pytest.param(user_models.BatchSizeOfTheInput, "first", (6,), id="the number of samples"),
        pytest.param(user_models.SizesThatTheSmashedDataTell, "first", (6,), id="sizes of smashed data"),
        pytest.param(user_models.SizesThatTheSmashedDataTell, "second", (6,), id="sizes from before the cut"),
        pytest.param(user_models.SizesOfTheSamplesOnly, "patches", (1, 4, 6), id="sizes of the samples"),
        pytest.param(user_models.TupleFromALayer, "recurrent", (5, 3), id="a tuple's element"),
        pytest.param(user_models.WritesInPlace, "first", (6,), id="changed in place at the server"),
        pytest.param(user_models.WritesInPlace, "second", (6,), id="one of two changed in place"),
        pytest.param(user_models.LayerThatWritesInPlace, "first", (6,), id="changed in place by a layer"),
        pytest.param(user_models.SlicedBuffer, "first", (6,), id="a sliced buffer"),
        pytest.param(user_models.WrappedControlFlow, "body", (6,), id="control flow inside the cut layer"),
        pytest.param(user_models.LayerUsedTwice, "first", (6,), id="a layer called twice by the client"),
    ],
)
def test_what_else_a_network_computes_finds_its_side(
    network: type[nn.Module], cut_layer: str, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    whole = network().double()
    split = split_at(deepcopy(whole), cut_layer)
    expected = whole_step(whole, samples_of(shape), training=True)
    assert_equal_steps(split_step(split, samples_of(shape), training=True), expected)


def test_the_parts_composed_again_give_what_the_whole_gave() -> None:
    network = network_of("cnn")
    composed = split_at(network, "conv2").whole_model().eval()
    samples = samples_of((3, 8, 8))
    assert torch.equal(composed(samples), network.eval()(samples))


@lru_cache(maxsize=2)  # tests come architecture by architecture, and some take gigabytes
def network_of(architecture: str) -> nn.Module:
    built = build_model(architecture, OPTIONS.get(architecture, {"num_classes": 5}), seed=3)
    assert isinstance(built, nn.Module)
    return built.double()


def layers_of(architecture: str) -> list[str]:
    return [name for name, _ in network_of(architecture).named_modules() if name]


@cache
def samples_of(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(4, *shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@lru_cache(maxsize=2)
def expected_step(architecture: str, training: bool) -> Step:  # noqa: FBT001 (a key of the cache)
    network, samples = network_of(architecture), samples_of(SHAPES.get(architecture, IMAGE))
    return from_the_same_start(network, lambda: whole_step(network, samples, training=training))


def check_cut(architecture: str, cut_layer: str, *, training: bool) -> None:
    network, samples = network_of(architecture), samples_of(SHAPES.get(architecture, IMAGE))
    split = split_at(network, cut_layer)
    actual = from_the_same_start(network, lambda: split_step(split, samples, training=training))
    assert_equal_steps(actual, expected_step(architecture, training))
