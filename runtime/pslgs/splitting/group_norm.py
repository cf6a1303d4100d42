"""Replace batch normalisation in the client part by group normalisation."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from pslgs.spec.errors import InputError
from pslgs.splitting.trace import CUT_LAYER

MAX_GROUPS = 32


def replace_batch_norm(client_part: nn.Module) -> frozenset[str]:
    """Replace every BatchNorm by GroupNorm, in place; ``weight`` and ``bias`` stay the same parameters.

    Returns:
        The names of BatchNorm's running statistics, which no longer exist.

    Raises:
        InputError: an InstanceNorm keeps running statistics.
    """
    removed: set[str] = set()
    for name, layer in list(client_part.named_modules()):
        if isinstance(layer, _InstanceNorm) and layer.track_running_stats:
            problem = (
                f"'{name}' before the cut keeps running statistics; build it without track_running_stats."
            )
            raise InputError.at(CUT_LAYER, problem)
        if isinstance(layer, _BatchNorm):
            removed |= {f"{name}.{buffer}" for buffer, _ in layer.named_buffers()}
            _put(client_part, name, group_norm_of(layer))
    return frozenset(removed)


def group_norm_of(layer: _BatchNorm) -> nn.GroupNorm:
    """Return a GroupNorm with the channels and the parameters (not copies) of a BatchNorm.

    The number of groups is the largest divisor of the channels up to 32.  BatchNorm1d is replaced by a single
    group: its samples may be vectors, whose elements would all be normalised to zero with one channel per
    group.
    """
    groups = 1 if isinstance(layer, nn.BatchNorm1d) else _groups(layer.num_features)
    replacement = nn.GroupNorm(groups, layer.num_features, eps=layer.eps, affine=layer.affine, device="meta")
    replacement.weight, replacement.bias = layer.weight, layer.bias
    return replacement.train(layer.training)


def _groups(channels: int) -> int:
    return next(groups for groups in range(min(MAX_GROUPS, channels), 0, -1) if channels % groups == 0)


def _put(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, field = name.rpartition(".")
    setattr(network.get_submodule(parent), field, layer)
