"""Construction of the transforms of torchvision.transforms.v2; imported only if a manifest lists some."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torchvision.transforms import v2

from pslgs.data.transforms import FAULTS, BuiltTransform, Named, to_float
from pslgs.spec.errors import InputError
from pslgs.spec.violations import nearest

# These take functions, other transforms or several samples, or do not return a single tensor.
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
KNOWN: Mapping[str, Callable[..., Any]] = {
    name: found
    for name, found in vars(v2).items()
    if isinstance(found, type) and issubclass(found, v2.Transform) and name not in UNSUITABLE
} | {"ToTensor": lambda: to_float}  # torchvision's own does not accept tensors


def build(listed: Named) -> BuiltTransform:
    """Construct a transform.

    Raises:
        InputError: the transform is unknown or cannot be used on single samples, or it does not accept the
            arguments.
    """
    if listed.name not in KNOWN:
        reason = "cannot be used on single samples" if listed.name in UNSUITABLE else "is unknown"
        suggestion = nearest(listed.name, [*KNOWN]) or "; see torchvision.transforms.v2"
        raise InputError.at(f"{listed.field}.name", f"is '{listed.name}', which {reason}{suggestion}")
    try:
        arguments = {name: _value(name, value) for name, value in listed.arguments.items()}
        function = KNOWN[listed.name](**arguments)
    except FAULTS as error:
        problem = f"{listed.name} does not accept these arguments: {error}"
        raise InputError.at(listed.field, problem) from error
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
