"""Construction of a job's network: build, split, replace BatchNorm."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.architectures import build_model
from pslgs.splitting.freezing import freeze
from pslgs.splitting.group_norm import replace_batch_norm
from pslgs.splitting.split_network import SplitNetwork, join_parts, split_at
from pslgs.splitting.trace import CUT_LAYER


class Model(Protocol):
    """The fields of ``spec.model`` that are used here."""

    @property
    def architecture(self) -> str:
        """Name of the architecture, or ``package.module:function``."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Keyword arguments of the architecture's constructor."""

    @property
    def cut_layer(self) -> str | None:
        """Dotted name of the last layer of the client part; None if the constructor returns two parts."""

    @property
    def freeze(self) -> Sequence[str]:
        """Dotted names of modules and parameters that are not trained."""


def build_network(model: Model, seed: int, inputs: Sequence[str] = ()) -> SplitNetwork:
    """Build the two parts of a job's network, with random weights.

    Args:
        model: The section ``spec.model`` of the manifest.
        seed: Seed of the job; equal arguments give equal weights.
        inputs: Names of several inputs; without them, there is one.

    Raises:
        InputError: the architecture, its options, the cut layer or a frozen layer are invalid, or the network
            does not take such inputs.
    """
    built = build_model(model.architecture, model.options, seed)
    network = group_normalised(_cut(built, model.cut_layer, inputs))
    freeze(network, model.freeze)
    return network


def group_normalised(network: SplitNetwork) -> SplitNetwork:
    """Replace BatchNorm in the client part by GroupNorm, in place; see `replace_batch_norm`.

    Returns:
        The network without the names of BatchNorm's running statistics; they are in `replaced`.

    Raises:
        InputError: another layer of the client part keeps running statistics.
    """
    gone = frozenset(network.client_prefix + name for name in replace_batch_norm(network.client_part))
    names = tuple(name for name in network.names if name not in gone)
    return replace(network, names=names, replaced=network.replaced | gone)


def _cut(
    built: nn.Module | tuple[nn.Module, nn.Module], cut_layer: str | None, inputs: Sequence[str]
) -> SplitNetwork:
    if isinstance(built, tuple):
        if cut_layer:
            raise InputError.at(CUT_LAYER, "must be left out, because the function returns the two parts.")
        return join_parts(*built, inputs)
    if not cut_layer:
        layers = ", ".join(name for name, _ in built.named_children())
        raise InputError.at(
            CUT_LAYER, f"is missing; name the last layer of the client part, such as {layers}."
        )
    return split_at(built, cut_layer, inputs)
