"""Transforms as a manifest lists them, and what takes their place in an evaluation."""

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
    """A transform as the manifest lists it.

    Attributes:
        field: Where, as ``spec.data.transforms[0]``.
        name: Class of torchvision.transforms.v2.
        arguments: Its keyword arguments.
    """

    field: str
    name: str
    arguments: Mapping[str, Any]

    @property
    def is_random(self) -> bool:
        """Whether the result differs from call to call."""
        return self.name.startswith("Random") or self.name in RANDOM


@dataclass(frozen=True, slots=True)
class BuiltTransform:
    """A transform that is ready to be applied; its name and field are for messages."""

    name: str
    field: str
    function: Callable[[Tensor], Tensor]
    is_random: bool

    def __call__(self, sample: Tensor) -> Tensor:
        """Apply it to a sample, or to a batch where it treats every element by itself.

        Raises:
            InputError: it cannot take such samples.
        """
        try:
            return self.function(sample)
        except FAULTS as error:
            shape = tuple(sample.shape)
            raise InputError.at(
                self.field,
                f"{self.name} cannot take samples of shape {shape} and type {sample.dtype}: {error}",
            ) from error


def named(transforms: Iterable[Transform], field: str) -> list[Named]:
    """Number the transforms that stand at ``field``."""
    return [Named(f"{field}[{i}]", each.name, each.arguments) for i, each in enumerate(transforms)]


def evaluation_counterpart(listed: Named) -> tuple[Named, ...]:
    """Return what takes the place of a transform in an evaluation: itself, a central crop, or nothing."""
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
    """Turn uint8 to float32 in 0…1, and anything else to float32 as it is; by itself or a whole batch."""
    return sample.to(torch.float32).div_(255) if sample.dtype == torch.uint8 else sample.to(torch.float32)
