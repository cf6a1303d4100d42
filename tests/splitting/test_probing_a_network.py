"""A probe tells what crosses the cut and comes out, refuses what cannot work, and changes nothing."""

import pytest
import torch
from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.architectures import build_model
from pslgs.splitting.layout import SmashedLayout, infer_layout
from pslgs.splitting.network import group_normalised
from pslgs.splitting.split_network import SplitNetwork, join_parts, split_at
from splitting import user_models


def network_at(cut_layer: str) -> SplitNetwork:
    built = build_model("resnet18-cifar", {"num_classes": 7}, seed=0)
    assert isinstance(built, nn.Module)
    return group_normalised(split_at(built, cut_layer))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cut_layer", "shapes"),
    [
        pytest.param("layer1", ((64, 32, 32),), id="one tensor"),
        pytest.param("layer2.0.conv2", ((64, 32, 32), (128, 16, 16)), id="a skip and a branch"),
        pytest.param("avgpool", ((512, 1, 1),), id="close to the end"),
    ],
)
def test_it_measures_what_crosses_the_cut(cut_layer: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    result = infer_layout(network_at(cut_layer), (3, 32, 32))
    assert result.smashed == SmashedLayout(shapes, torch.float32)
    assert result.output_shape == (7,)


def test_it_leaves_modes_buffers_and_random_numbers_alone() -> None:
    network = network_at("layer1")
    network.server_part.get_submodule("layer3").eval()
    modes = [module.training for module in network.server_part.modules()]
    tensors = {name: tensor.clone() for name, tensor in network.named_tensors().items()}
    random_state = torch.get_rng_state()
    infer_layout(network, (3, 16, 16))
    assert [module.training for module in network.server_part.modules()] == modes
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.named_tensors().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(tensor.grad is None for tensor in network.named_tensors().values())


@pytest.mark.parametrize(
    ("network", "cut_layer", "shape", "message"),
    [
        pytest.param(
            user_models.BatchSizeOfTheInput,
            "first",
            (3, 8, 8),
            r"^spec\.model\.architecture: the model does not accept samples of shape \(3, 8, 8\): ",
            id="samples of another shape",
        ),
        pytest.param(
            user_models.SequenceFirst,
            "recurrent",
            (5, 3),
            r"^spec\.model\.cutLayer: the first dimension of a tensor that crosses the cut is not the batch",
            id="time before the batch",
        ),
        pytest.param(
            user_models.TwoOutputs,
            "first",
            (6,),
            r"^spec\.model\.architecture: the model must return one tensor",
            id="two outputs",
        ),
        pytest.param(
            user_models.CountsItsSteps,
            "first",
            (6,),
            r"^spec\.model\.cutLayer: 'first\.steps' before the cut changes in every step",
            id="state at the client",
        ),
        pytest.param(
            user_models.HiddenInPlaceWrite,
            "first",
            (6,),
            r"^spec\.model\.cutLayer: the server part cannot be trained",
            id="hidden change in place",
        ),
    ],
)
def test_it_refuses_what_cannot_work(
    network: type[nn.Module], cut_layer: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        infer_layout(split_at(network(), cut_layer), shape)


class Integers(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).long()


class FromIntegers(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.float())


def test_only_floating_point_tensors_can_cross() -> None:
    with pytest.raises(
        InputError, match="only floating-point tensors of one type can cross the cut, not int64"
    ):
        infer_layout(join_parts(Integers(6, 4), FromIntegers(4, 2)), (6,))
