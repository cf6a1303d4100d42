"""Every classifier of torchvision can be cut at its early layers, without running it or taking memory for it."""


import pytest

from pslgs.splitting.architectures import architectures
from pslgs.splitting.network import group_normalised
from pslgs.splitting.split import split_at

CLASSIFIERS = architectures()[3:]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_it_is_cut_after_each_of_its_stages(architecture: str) -> None:
    stages = list(_stages(_without_memory(architecture)))
    assert len(stages) >= 3
    for stage in stages[:-1]:
        network = group_normalised(split_at(_without_memory(architecture), stage))
        assert next(network.client_part.parameters(), None) is not None
        assert len(network.names) == len(set(network.names))
