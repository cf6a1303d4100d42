"""A cut that cannot be made is refused with one sentence that says what to do."""

import pytest
from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.architectures import build_model
from pslgs.splitting.split_network import join_parts, split_at
from splitting import user_models


def refusal(network: nn.Module, cut_layer: str) -> str:
    with pytest.raises(InputError) as refused:
        split_at(network, cut_layer)
    (violation,) = refused.value.violations
    assert violation.path == "spec.model.cutLayer"
    assert violation.problem.endswith(".")
    return violation.problem


@pytest.mark.parametrize(
    ("network", "cut_layer", "words"),
    [
        pytest.param(
            user_models.ControlFlow,
            "first",
            ["the model's own forward cannot be traced", "control flow", "package.module:function"],
            id="control flow in the model's forward",
        ),
        pytest.param(
            user_models.WrappedControlFlow,
            "body.first",
            ["the forward of 'body' cannot be traced", "cut after 'body' as a whole"],
            id="control flow in a module around the cut",
        ),
        pytest.param(
            user_models.OtherInTraining,
            "first",
            ["the model's own forward does different operations in training", "nn.Dropout"],
            id="another graph in training",
        ),
        pytest.param(
            user_models.OtherConstantInTraining,
            "first",
            ["does different operations in training"],
            id="another constant in training",
        ),
        pytest.param(
            user_models.RandomInForward,
            "first",
            ["draws random numbers", "nn.Dropout"],
            id="frozen random numbers",
        ),
        pytest.param(
            user_models.TiedWeights,
            "first",
            ["'second.weight' is used on both sides of the cut (as 'first.weight' in the client part)"],
            id="tied weights",
        ),
        pytest.param(
            user_models.LayerUsedTwice,
            "second",
            ["'first.weight' is used on both sides"],
            id="a layer used twice",
        ),
        pytest.param(
            user_models.SamplesNeededAfterTheCut,
            "first",
            ["still uses the samples themselves", "cut at a later layer"],
            id="samples that would leave the client",
        ),
        pytest.param(
            user_models.SizesNeededByALayer,
            "patches",
            ["'head' after 'patches' needs a size", "is not a size of the smashed data"],
            id="a size that the server cannot know",
        ),
        pytest.param(
            user_models.BufferSlicedLikeTheSamples,
            "first",
            ["needs a size", "is not a size of the smashed data"],
            id="a tensor whose size the server cannot know",
        ),
        pytest.param(
            user_models.TwoOutputs, "third", ["the server part would have no parameters"], id="the last layer"
        ),
        pytest.param(
            user_models.SlicedBuffer, "never_used", ["never calls"], id="a layer that is never called"
        ),
    ],
)
def test_the_reason_is_named(network: type[nn.Module], cut_layer: str, words: list[str]) -> None:
    problem = refusal(network(), cut_layer)
    assert [word for word in words if word not in problem] == []


@pytest.mark.parametrize(
    ("cut_layer", "words"),
    [
        pytest.param("layr1", ["no layer 'layr1'", "layer1", "conv1"], id="misspelt"),
        pytest.param("layer1.2", ["layer1.1", "layer1.0", "fc"], id="one too far"),
        pytest.param("", ["conv1", "layer4"], id="empty"),
        pytest.param("fc", ["the server part would have no parameters"], id="the last layer"),
    ],
)
def test_layers_of_resnet18(cut_layer: str, words: list[str]) -> None:
    network = build_model("resnet18-cifar", {}, seed=0)
    assert isinstance(network, nn.Module)
    problem = refusal(network, cut_layer)
    assert [word for word in words if word not in problem] == []


def test_a_cut_before_all_parameters_would_give_away_the_samples() -> None:
    network = build_model("mlp", {"inputs": 4, "hidden": [3], "outputs": 2}, seed=0)
    assert isinstance(network, nn.Module)
    assert "reveal the samples" in refusal(network, "flatten")


def test_the_inside_of_attention_cannot_be_cut() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.TransformerEncoderLayer(4, 2), nn.Linear(4, 2))
    assert "cut after '1' as a whole" in refusal(network, "1.self_attn")


def test_tracing_leaves_modes_and_attributes_as_they_were() -> None:
    network = user_models.OtherConstantInTraining()
    network.second.eval()
    before = set(vars(network))
    refusal(network, "first")
    assert (network.training, network.first.training, network.second.training) == (True, True, False)
    assert {name for name in set(vars(network)) - before if not name.startswith("_tensor_constant")} == set()


@pytest.mark.parametrize(
    ("client_part", "server_part", "word"),
    [
        pytest.param(nn.Flatten(), nn.Linear(2, 2), "reveal the samples", id="a client without parameters"),
        pytest.param(
            nn.Linear(2, 2),
            nn.ReLU(),
            "the server part would have no parameters",
            id="a server without parameters",
        ),
    ],
)
def test_two_given_parts_must_both_have_parameters(
    client_part: nn.Module, server_part: nn.Module, word: str
) -> None:
    with pytest.raises(InputError, match=word):
        join_parts(client_part, server_part)


def test_two_given_parts_must_not_share_parameters() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(InputError, match="both sides"):
        join_parts(nn.Sequential(layer), nn.Sequential(nn.ReLU(), layer))
