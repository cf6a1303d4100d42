"""The shape of one sample, guessed where neither the manifest nor the data tell it."""

from collections.abc import Sequence
from typing import Final

from torch import nn

from pslgs.spec.data import Transform

_SIZED: Final = {"RandomCrop", "CenterCrop", "RandomResizedCrop", "Resize"}


def guessed_input_shape(network: nn.Module, transforms: Sequence[Transform]) -> tuple[int, ...] | None:
    """Read the shape off the network's first layer with weights and the transforms' last size.

    None where they do not tell it.
    """
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)), None)
    match first:
        case nn.Linear():
            return (first.in_features,)
        case nn.Conv2d():
            size = next((each for each in map(_size, reversed(transforms)) if each), None)
            return (first.in_channels, *size) if size else None
        case _:
            return None


def _size(transform: Transform) -> tuple[int, int] | None:
    size = transform.arguments.get("size") if transform.name in _SIZED else None
    match size:
        case int():
            return (size, size)
        case [int(side)]:
            return (side, side)
        case [int(height), int(width)]:
            return (height, width)
        case _:
            return None
