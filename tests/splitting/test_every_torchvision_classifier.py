"""Every classifier of torchvision can be cut after each of its stages; nothing is run, no memory taken."""

from copy import deepcopy

import pytest
from torch import nn
from torchvision import models

from pslgs.splitting.architectures import build_model
from pslgs.splitting.network import group_normalised
from pslgs.splitting.split_network import split_at

pytestmark = pytest.mark.slow

CLASSIFIERS = models.list_models(module=models)


@pytest.mark.usefixtures("parameters_without_memory")
@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_it_is_cut_after_each_of_its_stages(architecture: str) -> None:
    whole = build_model(architecture, {}, seed=0)
    assert isinstance(whole, nn.Module)
    stages = stages_of(whole)
    assert len(stages) >= 3
    for stage in stages:
        network = group_normalised(split_at(deepcopy(whole), stage))
        assert {*network.names} | network.replaced == {*whole.state_dict()}


def stages_of(network: nn.Module) -> list[str]:
    """Name some five layers with parameters, at most two deep and before the last of the outermost."""
    names = [
        name
        for name, layer in network.named_modules()
        if name and name.count(".") < 2 and next(layer.parameters(), None) is not None
    ]
    last = [name for name in names if "." not in name][-1]
    candidates = [name for name in names if name.split(".")[0] != last]
    return candidates[:: max(1, len(candidates) // 5)]
