"""Which layers a plan looks at, for every architecture there is."""

import pytest
from torch import nn

from pslgs.costs.cuts import candidates, deduplicate_cuts, every_layer, stages
from pslgs.splitting.architectures import architectures, build_model, cnn, resnet18_cifar


def test_the_stages_of_a_network_come_in_its_order_with_the_chosen_layer_among_them() -> None:
    named = "conv1 bn1 relu maxpool layer1 layer2.0 layer2 layer3 layer4 avgpool fc"
    assert stages(resnet18_cifar(), "layer2.0") == named.split()


@pytest.mark.slow
@pytest.mark.usefixtures("parameters_without_memory")
def test_a_network_of_few_layers_is_looked_into() -> None:
    found = stages(build_model("vgg11", {}, 0), "features")
    assert len(found) <= 13
    assert "features.0" in found
    assert found.index("features.0") < found.index("features") < found.index("classifier")


def test_every_layer_comes_before_the_one_that_it_ends() -> None:
    names = every_layer(cnn())
    assert names[:5] == ["conv1.0", "conv1.1", "conv1.2", "conv1.3", "conv1"]
    assert len(names) == len(list(cnn().named_modules())) - 1


@pytest.mark.slow
def test_layers_that_cannot_be_cut_at_are_passed_over() -> None:
    model = cnn().to("meta")
    found = list(candidates(model, (3, 32, 32), every_layer(model)))
    layers = [each.layer for each in found]
    assert "conv1.0" in layers
    assert not {"head", "head.2"} & {*layers}  # nothing would be left for the server
    flops = [each.profile.client_flops for each in found]
    assert flops == sorted(flops)
    assert len({each.profile.client_flops + each.profile.server_flops for each in found}) == 1


def test_of_cuts_that_amount_to_the_same_one_is_left() -> None:
    model = cnn().to("meta")
    found = list(candidates(model, (3, 32, 32), ["conv1.3", "conv1", "conv2.3", "conv2"]))
    assert [each.layer for each in deduplicate_cuts(found, "conv3")] == ["conv1", "conv2"]
    assert [each.layer for each in deduplicate_cuts(found, "conv2.3")] == ["conv1", "conv2.3"]


def test_looking_for_cuts_leaves_the_model_whole() -> None:
    model = cnn().to("meta")
    before = {name: type(layer) for name, layer in model.named_modules()}
    list(candidates(model, (3, 32, 32), ["conv1", "conv2"]))
    assert {name: type(layer) for name, layer in model.named_modules()} == before


OURS = {"mlp", "cnn", "resnet18-cifar", "series-cnn", "text-cnn"}
SMALLEST = [
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet"),
    *("inception_v3", "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf"),
    *("regnet_y_400mf", "resnet18", "resnet50", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t"),
    *("swin_v2_t", "vgg11", "vgg11_bn", "vit_b_32"),
]
"""Of each family of torchvision's classifiers the smallest, and both where its layers are of two kinds."""


@pytest.mark.slow
def test_no_family_of_classifiers_is_left_out() -> None:
    assert {family(name) for name in architectures() if name not in OURS} == {
        family(name) for name in SMALLEST
    }


def family(classifier: str) -> str:
    """Name the module that a classifier of torchvision is defined in."""
    from torchvision import models  # noqa: PLC0415 - collecting tests does not need it

    return str(models.get_model_builder(classifier).__module__)


@pytest.mark.slow
@pytest.mark.usefixtures("parameters_without_memory")
@pytest.mark.parametrize("architecture", ["cnn", "resnet18-cifar", *SMALLEST])
def test_every_family_of_architectures_of_images_has_cuts_to_compare(architecture: str) -> None:
    built = build_model(architecture, {}, seed=0)
    assert isinstance(built, nn.Module)
    side = 299 if architecture == "inception_v3" else 224
    layers = stages(built, "")
    first, *_, last = (
        each for each in layers if next(built.get_submodule(each).parameters(), None) is not None
    )
    middle = layers[len(layers) // 2]
    found = list(candidates(built.to("meta"), (3, side, side), [first, middle, last]))
    assert {first, middle} <= {each.layer for each in found} <= {first, middle, last}
    for each in found:
        assert each.profile.client_flops > 0
        assert each.profile.activation_bytes > 0
