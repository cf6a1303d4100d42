"""Frozen layers are named as in the whole network, and stay as they are."""

import pytest
import torch
from torch import nn

from pslgs.spec.errors import InputError
from pslgs.spec.model import ModelSpec
from pslgs.splitting.freezing import is_frozen
from pslgs.splitting.network import build_network
from pslgs.splitting.split_network import SplitNetwork
from pslgs.splitting.train_mode import set_mode
from pslgs.training.batchnorm import batch_norms


def network(*freeze: str) -> SplitNetwork:
    options = {"width": 4}
    return build_network(
        ModelSpec(architecture="cnn", options=options, cut_layer="conv1", freeze=freeze), seed=0
    )


def test_parameters_of_frozen_modules_need_no_gradient() -> None:
    tensors = network("conv1", "head.2.bias").named_tensors()
    frozen = {n for n, each in tensors.items() if isinstance(each, nn.Parameter) and not each.requires_grad}
    assert frozen == {"conv1.0.weight", "conv1.1.weight", "conv1.1.bias", "head.2.bias"}


def test_frozen_statistics_do_not_change_in_training() -> None:
    frozen = network("conv2")
    before = {name: tensor.clone() for name, tensor in frozen.named_tensors().items()}
    part = frozen.server_part.train()
    with set_mode(part, training=True):
        part(torch.rand(3, 4, 8, 8))
    with set_mode(part, training=False):
        pass
    part(torch.rand(3, 4, 8, 8))
    after = frozen.named_tensors()
    assert torch.equal(after["conv2.1.running_mean"], before["conv2.1.running_mean"])
    assert not torch.equal(after["conv3.1.running_mean"], before["conv3.1.running_mean"])
    assert is_frozen(part.get_submodule("conv2.1"))
    assert [norm.num_features for norm in batch_norms(part)] == [16]  # conv3 alone is recalibrated


def test_a_network_that_its_builder_froze_is_refused() -> None:
    model = ModelSpec(architecture="splitting.user_models:untrainable_network", cut_layer="0")
    with pytest.raises(InputError, match=r"architecture: .* so that nothing can be trained"):
        build_network(model, 0)


@pytest.mark.parametrize(
    ("freeze", "words"),
    [
        pytest.param(["conv9"], r"freeze\[0\]: is 'conv9', but no layer .*conv1", id="unknown"),
        pytest.param(["head", "conv1.2"], r"freeze\[1\]: is 'conv1.2'", id="without parameters"),
        pytest.param(["conv1", "conv2", "conv3", "head"], "leaves nothing to train", id="everything"),
    ],
)
def test_names_that_cannot_be_frozen_are_refused(freeze: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        network(*freeze)
