"""Normalisation without other samples: a local batch gives what it would give within the global one.

BatchNorm mixes the samples of a batch; in the client part it would see the local batch only, and the step
would no longer equal the centralized one.  GroupNorm (arXiv 1803.08494) normalises each sample by itself.
"""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from pslgs.spec.errors import InputError
from pslgs.splitting.tracing import CUT_LAYER

MAX_GROUPS = 32


def replace_batch_norm(client_part: nn.Module) -> frozenset[str]:
    """Turn every BatchNorm into GroupNorm, in place; ``weight`` and ``bias`` stay the same parameters.

    Returns:
        The names of the running statistics that are gone with BatchNorm.

    Raises:
        InputError: another layer keeps statistics over samples.
    """
    gone: set[str] = set()
    for name, layer in list(client_part.named_modules()):
        if isinstance(layer, _InstanceNorm) and layer.track_running_stats:
            problem = (
                f"'{name}' before the cut keeps running statistics; build it without track_running_stats."
            )
            raise InputError.at(CUT_LAYER, problem)
        if isinstance(layer, _BatchNorm):
            gone |= {f"{name}.{buffer}" for buffer, _ in layer.named_buffers()}
            _put(client_part, name, group_norm_of(layer))
    return frozenset(gone)


def group_norm_of(layer: _BatchNorm) -> nn.GroupNorm:
    """Make the GroupNorm of as many channels, with the parameters of ``layer`` themselves.

    32 groups, or the largest divisor of the channels below that.  BatchNorm1d gets a single group: its
    samples may be plain vectors, and with one channel a group every element would be normalised to zero.
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
