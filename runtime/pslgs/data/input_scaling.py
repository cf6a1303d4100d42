"""The features of inputs that are standardised, and the scaling of batches by them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import torch
from torch import Tensor

from pslgs.coordination.feature_moments import MAX_FEATURES, FeatureScale
from pslgs.model_inputs import Inputs, InputShape, NamedShapes
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import Standardization
from pslgs.spec.named_inputs import INPUTS, NamedInput

STANDARDIZE: Final = "spec.data.standardize"


def features_of(mode: Standardization, input_shape: Sequence[int], field: str = STANDARDIZE) -> int:
    """Return the number of features of an input that are standardised separately; 0 if none are.

    Raises:
        InputError: there are more than `MAX_FEATURES`.
    """
    if mode is Standardization.NONE:
        return 0
    features = math.prod(input_shape) if mode is Standardization.PER_FEATURE else input_shape[0]
    if features > MAX_FEATURES:
        raise InputError.at(
            field,
            f"is {mode}, but a sample of the shape {list(input_shape)} has {features:,} of them, at most "
            f"{MAX_FEATURES:,} are standardised; use PerChannel or the transform Normalize",
        )
    return features


def features_by_name(inputs: Sequence[NamedInput], shape: NamedShapes) -> dict[str, int]:
    """Return name -> number of features of each of several inputs that is standardised, in their order.

    Raises:
        InputError: they are more than `MAX_FEATURES` in all.
    """
    shapes = {each.name: each.shape for each in shape.inputs}
    counts = {
        each.name: features_of(each.standardize, shapes[each.name], f"{INPUTS}[{position}].standardize")
        for position, each in enumerate(inputs)
    }
    if sum(counts.values()) > MAX_FEATURES:
        listed = ", ".join(f"{count:,} of {name}" for name, count in counts.items() if count)
        raise InputError.at(
            INPUTS,
            f"standardizes {sum(counts.values()):,} features ({listed}), at most {MAX_FEATURES:,} are; use "
            "PerChannel or the transform Normalize",
        )
    return {name: count for name, count in counts.items() if count}


def scales_by_name(
    scale: FeatureScale, inputs: Sequence[NamedInput], shape: NamedShapes
) -> dict[str, FeatureScale]:
    """Divide a scale among the inputs that are standardised."""
    scales: dict[str, FeatureScale] = {}
    first = 0
    for name, count in features_by_name(inputs, shape).items():
        of_input = slice(first, first + count)
        scales[name] = FeatureScale(scale.mean[of_input], scale.deviation[of_input])
        first += count
    return scales


@dataclass(frozen=True, slots=True, eq=False)
class InputScaling:
    """Standardises the inputs of batches.

    Attributes:
        single: Mean and standard deviation of a single input; None if there are several inputs.
        named: Name -> mean and standard deviation of each of several inputs that is standardised.
    """

    single: tuple[Tensor, Tensor] | None
    named: Mapping[str, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, scale: FeatureScale, shape: InputShape, inputs: Sequence[NamedInput] = ()) -> Self:
        """Return the scaling of inputs of a shape by the scale of a job."""
        if not isinstance(shape, NamedShapes):
            return cls(mean_and_deviation(scale, shape), {})
        return cls.by_name(scales_by_name(scale, inputs, shape), shape)

    @classmethod
    def by_name(cls, scales: Mapping[str, FeatureScale], shape: NamedShapes) -> Self:
        """Return the scaling of several inputs, of which those in ``scales`` are standardised."""
        shapes = {each.name: each.shape for each in shape.inputs}
        return cls(None, {name: mean_and_deviation(scale, shapes[name]) for name, scale in scales.items()})

    def __call__(self, inputs: Inputs) -> Inputs:
        """Return standardised inputs; those that are given do not change."""
        if isinstance(inputs, Tensor):
            return inputs if self.single is None else _scaled(inputs, self.single)
        return {
            name: _scaled(tensor, self.named[name]) if name in self.named else tensor
            for name, tensor in inputs.items()
        }


_COARSE: Final = 1e-4
"""Part of the standard deviation by which a mean may be rounded in float32."""


def _scaled(inputs: Tensor, by: tuple[Tensor, Tensor]) -> Tensor:
    """Subtract the mean of each feature, and divide by its standard deviation; the result is float32.

    float32 is computed in float32.  Of float64, so are the numbers that float32 holds, for the same result;
    the others, and all numbers of a feature whose mean float32 rounds coarsely, are computed in float64 and
    rounded last.  A time in seconds since 1970, for example, would lose what distinguishes its values.
    """
    mean, deviation = by
    rounded, low = inputs.float(), mean.float()
    narrow = (rounded - low).div_(deviation.float())
    if inputs.dtype != torch.float64:
        return narrow
    exact = (rounded.double() == inputs) & ((low.double() - mean).abs() <= _COARSE * deviation)
    return torch.where(exact, narrow, ((inputs - mean) / deviation).float())


def mean_and_deviation(scale: FeatureScale, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of inputs of a shape, float64, in a shape that broadcasts to it."""
    whole = len(scale.mean) == math.prod(shape)
    broadcast = shape if whole else (len(scale.mean), *(1 for _ in shape[1:]))
    mean, deviation = (torch.from_numpy(each).reshape(broadcast) for each in (scale.mean, scale.deviation))
    return mean, deviation
