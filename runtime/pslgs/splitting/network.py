"""The network of a job: built, cut, normalised and loaded with its initial weights."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.architectures import build_model
from pslgs.splitting.normalisation import replace_batch_norm
from pslgs.splitting.split import INITIAL_WEIGHTS, SplitNetwork, join_parts, split_at
from pslgs.splitting.tracing import CUT_LAYER
from pslgs.splitting.weights import load_weights


class Model(Protocol):
    """What ``spec.model`` of a manifest says."""

    @property
    def architecture(self) -> str:
        """Name of the architecture, or ``package.module:function``."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Keyword arguments of its builder."""

    @property
    def cut_layer(self) -> str | None:
        """Dotted name of the layer that ends the client part; none where the builder returns two parts."""

    @property
    def initial_weights(self) -> str | Path | None:
        """A safetensors file to start from."""


def build_network(model: Model, seed: int) -> SplitNetwork:
    """Build the two parts of a job's network; equal arguments give equal weights.

    Raises:
        InputError: the architecture, its options, the cut layer or the initial weights cannot be used.
    """
    built = build_model(model.architecture, model.options, seed)
    network = group_normalised(_cut(built, model.cut_layer))
    if model.initial_weights is not None:
        network.load_named_tensors(load_weights(Path(model.initial_weights), INITIAL_WEIGHTS))
    return network


def group_normalised(network: SplitNetwork) -> SplitNetwork:
    """Replace BatchNorm in the client part by GroupNorm, in place; the other names stay.

    Raises:
        InputError: another layer of the client part keeps statistics over samples.
    """
    gone = frozenset(network.client_prefix + name for name in replace_batch_norm(network.client_part))
    names = tuple(name for name in network.names if name not in gone)
    return replace(network, names=names, replaced=network.replaced | gone)


def _cut(built: nn.Module | tuple[nn.Module, nn.Module], cut_layer: str | None) -> SplitNetwork:
    if isinstance(built, tuple):
        if cut_layer:
            raise InputError.at(CUT_LAYER, "the builder returns the two parts already; leave this out.")
        return join_parts(*built)
    if not cut_layer:
        layers = ", ".join(name for name, _ in built.named_children())
        raise InputError.at(CUT_LAYER, f"say after which layer the client part ends, such as {layers}.")
    return split_at(built, cut_layer)
