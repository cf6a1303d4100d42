"""Construction of a job's network: build, split, replace BatchNorm, load initial weights."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.architectures import build_model
from pslgs.splitting.group_norm import replace_batch_norm
from pslgs.splitting.split_network import INITIAL_WEIGHTS, SplitNetwork, join_parts, load_weights, split_at
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
    def initial_weights(self) -> str | Path | None:
        """Path of a safetensors file with the initial weights; None for random ones."""


def build_network(model: Model, seed: int) -> SplitNetwork:
    """Build the two parts of a job's network.

    Args:
        model: The section ``spec.model`` of the manifest.
        seed: Seed of the job; equal arguments give equal weights.

    Raises:
        InputError: the architecture, its options, the cut layer or the initial weights are invalid.
    """
    built = build_model(model.architecture, model.options, seed)
    network = group_normalised(_cut(built, model.cut_layer))
    if model.initial_weights is not None:
        network.load_named_tensors(load_weights(Path(model.initial_weights), INITIAL_WEIGHTS))
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


def _cut(built: nn.Module | tuple[nn.Module, nn.Module], cut_layer: str | None) -> SplitNetwork:
    if isinstance(built, tuple):
        if cut_layer:
            raise InputError.at(CUT_LAYER, "must be left out, because the function returns the two parts.")
        return join_parts(*built)
    if not cut_layer:
        layers = ", ".join(name for name, _ in built.named_children())
        raise InputError.at(
            CUT_LAYER, f"is missing; name the last layer of the client part, such as {layers}."
        )
    return split_at(built, cut_layer)
