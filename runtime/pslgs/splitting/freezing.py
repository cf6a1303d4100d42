"""Frozen layers: parameters and statistics that training does not change."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pslgs.spec.errors import InputError, Violation
from pslgs.splitting.split_network import SplitNetwork

FREEZE: Final = "spec.model.freeze"


class _Frozen:
    """Stands for the method ``train`` of a layer that stays in evaluation mode."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer

    def __call__(self, mode: bool = True) -> nn.Module:  # noqa: ARG002, FBT001, FBT002 - torch's signature
        return self._layer


def freeze(network: SplitNetwork, names: Sequence[str]) -> None:
    """Exclude the parameters of modules, and single parameters, from training, in place.

    Their BatchNorm layers normalise by their running statistics, also in training, and do not update them.

    Args:
        network: The network.
        names: Dotted names of modules or parameters, as in the whole network.

    Raises:
        InputError: a name is unknown, or nothing would be left to train.
    """
    parts = (network.client_part, network.client_prefix), (network.server_part, network.server_prefix)
    parameters = {f"{prefix}{name}": each for part, prefix in parts for name, each in part.named_parameters()}
    _check_names(names, [*parameters])
    for name, parameter in parameters.items():
        if _is_within(name, names):
            parameter.requires_grad = False
    for part, prefix in parts:
        for name, layer in part.named_modules():
            if isinstance(layer, _BatchNorm) and _is_within(f"{prefix}{name}", names):
                layer.eval()
                setattr(layer, "train", _Frozen(layer))  # noqa: B010 - of this layer only, a method to mypy
    if not any(parameter.requires_grad for parameter in parameters.values()):
        if names:
            raise InputError.at(FREEZE, "leaves nothing to train; remove a name")
        raise InputError.at(
            "spec.model.architecture",
            "returned a network of which no parameter requires a gradient, so that nothing can be trained",
        )


def is_frozen(layer: nn.Module) -> bool:
    """Return whether a layer stays in evaluation mode."""
    return isinstance(layer.train, _Frozen)


def _is_within(name: str, parents: Sequence[str]) -> bool:
    return any(f"{name}.".startswith(f"{parent}.") for parent in parents)


def _check_names(names: Sequence[str], parameters: Sequence[str]) -> None:
    modules = dict.fromkeys(
        name.rsplit(".", depth)[0] for name in parameters for depth in range(name.count("."), -1, -1)
    )
    violations = []
    for index, name in enumerate(names):
        if name not in modules:
            similar = get_close_matches(name, modules, n=3)
            top = [each for each in modules if "." not in each and each not in similar]
            listed = ", ".join([*similar, *top[:12]])
            problem = f"is '{name}', but no layer with parameters has this name; there are {listed}"
            violations.append(Violation(f"{FREEZE}[{index}]", problem))
    if violations:
        raise InputError(*violations)
