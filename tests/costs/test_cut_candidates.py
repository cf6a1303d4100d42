"""Which layers a plan looks at, for every architecture there is."""

import pytest
import torch
from torch import Tensor, nn

from pslgs.costs.cuts import candidates, deduplicate_cuts, every_layer, stages
from pslgs.splitting.architectures import architectures, build_model, cnn, resnet18_cifar


def test_the_stages_of_a_network_come_in_its_order_with_the_chosen_layer_among_them() -> None:
    named = "conv1 bn1 relu maxpool layer1 layer2.0 layer2 layer3 layer4 avgpool fc"
    assert stages(resnet18_cifar(), "layer2.0") == named.split()


def test_a_network_of_few_layers_is_looked_into() -> None:
    found = stages(build_model("vgg11", {}, 0), "features")
    assert len(found) <= 13
    assert "features.0" in found
    assert found.index("features.0") < found.index("features") < found.index("classifier")


def test_every_layer_comes_before_the_one_that_it_ends() -> None:
    names = every_layer(cnn())
    assert names[:5] == ["conv1.0", "conv1.1", "conv1.2", "conv1.3", "conv1"]
    assert len(names) == len(list(cnn().named_modules())) - 1


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


@pytest.mark.slow
@pytest.mark.usefixtures("parameters_without_memory")
@pytest.mark.parametrize("architecture", [name for name in architectures() if name != "mlp"])
def test_every_architecture_has_cuts_to_compare(architecture: str) -> None:
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


@pytest.fixture
def parameters_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put each parameter on the meta device; the arithmetic of a builder (RegNet's widths) stays real."""
    make = nn.Parameter.__new__

    def make_on_meta(cls: type[nn.Parameter], data: Tensor, *arguments: bool) -> nn.Parameter:
        return make(cls, data.to(torch.device("meta")), *arguments)

    monkeypatch.setattr(nn.Parameter, "__new__", make_on_meta)
