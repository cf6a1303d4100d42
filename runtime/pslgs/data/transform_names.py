"""Transforms as listed in the manifest, and their counterparts for evaluation."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pslgs.spec.data import Transform
from pslgs.spec.errors import InputError

RANDOM = {
    "AugMix",
    "AutoAugment",
    "ColorJitter",
    "ElasticTransform",
    "GaussianBlur",
    "GaussianNoise",
    "JPEG",
} | {
    "RandAugment",
    "ScaleJitter",
    "TrivialAugmentWide",
}

FAULTS = (TypeError, ValueError, RuntimeError, AttributeError, LookupError)


@dataclass(frozen=True, slots=True)
class Named:
    """A transform as listed in the manifest.

    Attributes:
        field: Path in the manifest (``spec.data.transforms[0]``), for error messages.
        name: Name of a class of torchvision.transforms.v2.
        arguments: Keyword arguments of the class.
    """

    field: str
    name: str
    arguments: Mapping[str, Any]

    @property
    def is_random(self) -> bool:
        """Whether the transform draws random numbers."""
        return self.name.startswith("Random") or self.name in RANDOM


@dataclass(frozen=True, slots=True)
class BuiltTransform:
    """A constructed transform, with its name and field for error messages."""

    name: str
    field: str
    function: Callable[[Tensor], Tensor]
    is_random: bool

    def __call__(self, sample: Tensor) -> Tensor:
        """Apply the transform to a sample, or to a batch if it is elementwise.

        Raises:
            InputError: the transform cannot be applied to samples of this shape or type.
        """
        try:
            return self.function(sample)
        except FAULTS as error:
            shape = tuple(sample.shape)
            raise InputError.at(
                self.field,
                f"{self.name} cannot be applied to samples of shape {shape} and type {sample.dtype}: {error}",
            ) from error


def named(transforms: Iterable[Transform], field: str) -> list[Named]:
    """Add its path to each transform of the list at ``field``."""
    return [Named(f"{field}[{i}]", each.name, each.arguments) for i, each in enumerate(transforms)]


def evaluation_counterpart(listed: Named) -> tuple[Named, ...]:
    """Return the transforms that replace one of the training data in an evaluation.

    A transform without randomness stays as it is, a random crop becomes a central crop, and other random
    transforms are left out.
    """
    if not listed.is_random:
        return (listed,)
    if listed.name not in {"RandomCrop", "RandomResizedCrop"}:
        return ()
    crop = Named(listed.field, "CenterCrop", _only(listed.arguments, "size"))
    if listed.name == "RandomCrop":
        return (crop,)
    return (
        Named(listed.field, "Resize", _only(listed.arguments, "size", "interpolation", "antialias")),
        crop,
    )


def _only(arguments: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in names}


def to_float(sample: Tensor) -> Tensor:
    """Convert uint8 to float32 in the range 0 … 1, and other types to float32 unscaled."""
    return sample.to(torch.float32).div_(255) if sample.dtype == torch.uint8 else sample.to(torch.float32)
