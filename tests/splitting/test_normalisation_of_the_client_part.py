"""BatchNorm before the cut becomes GroupNorm, and nothing else changes."""

import pytest
import torch
from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.group_norm import group_norm_of, replace_batch_norm
from pslgs.splitting.network import group_normalised
from pslgs.splitting.split_network import split_at


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(64, 32), (96, 32), (48, 24), (40, 20), (20, 20), (37, 1), (34, 17), (1, 1)],
    ids=str,
)
def test_there_are_32_groups_or_the_largest_divisor_below(channels: int, groups: int) -> None:
    assert group_norm_of(nn.BatchNorm2d(channels)).num_groups == groups


def test_parameters_stay_the_same_objects_and_names() -> None:
    layer = nn.BatchNorm3d(4, eps=0.25, dtype=torch.float64).eval()
    network = nn.Sequential(nn.Conv3d(1, 4, 1), layer)
    names = [name for name, _ in network.named_parameters()]
    assert replace_batch_norm(network) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    replacement = network[1]
    assert isinstance(replacement, nn.GroupNorm)
    assert (replacement.weight, replacement.bias) == (layer.weight, layer.bias)
    assert (replacement.eps, replacement.training) == (0.25, False)
    assert [name for name, _ in network.named_parameters()] == names


def test_a_layer_without_parameters_gets_none() -> None:
    replacement = group_norm_of(nn.BatchNorm2d(4, affine=False))
    assert list(replacement.parameters()) == []
    assert torch.isfinite(replacement(torch.rand(2, 4, 3, 3))).all()


def test_vectors_keep_their_information() -> None:
    replacement = group_norm_of(nn.BatchNorm1d(8))
    vectors = torch.rand(3, 8)
    torch.testing.assert_close(replacement(vectors), nn.functional.layer_norm(vectors, (8,)))


def test_batch_norm_of_every_kind_is_replaced() -> None:
    network = nn.Sequential(nn.SyncBatchNorm(4), nn.ModuleDict({"inner": nn.BatchNorm1d(4)}))
    replace_batch_norm(network)
    assert not any("BatchNorm" in type(layer).__name__ for layer in network.modules())


def test_the_server_part_keeps_batch_norm() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    split = group_normalised(split_at(network, "1"))
    assert isinstance(split.client_part.get_submodule("1"), nn.GroupNorm)
    assert isinstance(split.server_part.get_submodule("3"), nn.BatchNorm2d)
    assert "3.running_mean" in split.names
    assert split.replaced == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert split.replaced.isdisjoint(split.names)


def test_a_sample_gives_the_same_alone_and_in_company() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    replace_batch_norm(network)
    samples = torch.rand(5, 1, 6, 6)
    torch.testing.assert_close(network(samples)[1:2], network(samples[1:2]))


def test_running_statistics_of_instance_norm_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.InstanceNorm2d(4, track_running_stats=True))
    with pytest.raises(
        InputError, match=r"spec\.model\.cutLayer: '1' before the cut keeps running statistics"
    ):
        replace_batch_norm(network)


def test_instance_norm_without_statistics_stays() -> None:
    network = nn.Sequential(nn.InstanceNorm2d(4))
    assert replace_batch_norm(network) == frozenset()
    assert isinstance(network[0], nn.InstanceNorm2d)
