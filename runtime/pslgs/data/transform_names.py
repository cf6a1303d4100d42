"""What the names in ``transforms`` stand for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from pslgs.spec.data import Transform
from pslgs.spec.errors import InputError
from pslgs.spec.violations import nearest

# These take functions, other transforms or several samples, or return no single tensor.
UNSUITABLE = {
    "Compose",
    "CutMix",
    "FiveCrop",
    "Lambda",
    "MixUp",
    "RandomApply",
    "RandomChoice",
    "RandomOrder",
} | {
    "TenCrop",
    "ToPILImage",
    "Transform",
    "UniformTemporalSubsample",
}
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
KNOWN: Mapping[str, Callable[..., Any]] = {
    name: found
    for name, found in vars(v2).items()
    if isinstance(found, type) and issubclass(found, v2.Transform) and name not in UNSUITABLE
} | {"ToTensor": lambda: v2.ToDtype(torch.float32, scale=True)}  # torchvision's own takes no tensors

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


def build(listed: Named) -> BuiltTransform:
    """Make a transform.

    Raises:
        InputError: no transform has this name, or it does not take these arguments.
    """
    if listed.name not in KNOWN:
        reason = "cannot be used on single samples" if listed.name in UNSUITABLE else "is unknown"
        suggestion = nearest(listed.name, [*KNOWN]) or "; see torchvision.transforms.v2"
        raise InputError.at(f"{listed.field}.name", f"is '{listed.name}', which {reason}{suggestion}")
    try:
        arguments = {name: _value(name, value) for name, value in listed.arguments.items()}
        function = KNOWN[listed.name](**arguments)
    except FAULTS as error:
        raise InputError.at(listed.field, f"{listed.name} does not take these arguments: {error}") from error
    return BuiltTransform(listed.name, listed.field, function, listed.is_random)


def _value(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    if name == "dtype":
        return getattr(torch, value)
    if name == "interpolation":
        return v2.InterpolationMode(value.lower())
    if name == "policy":
        return v2.AutoAugmentPolicy(value.lower())
    return value
