"""The inputs of a model: one tensor, or several by name; and their shapes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from pslgs.spec.inputs import InputType
from pslgs.spec.job import JobSpec
from pslgs.spec.named_inputs import NamedInput

Shape = tuple[int, ...]

Inputs = Tensor | Mapping[str, Tensor]
"""A sample or a batch: the only input of a model, or name -> input."""


@dataclass(frozen=True, slots=True)
class NamedShape:
    """The shape of one of several inputs.

    Attributes:
        name: Name of the input.
        shape: Shape, without the batch dimension.
        is_integer: Whether its values are int64; otherwise they have the type of the model's parameters.
    """

    name: str
    shape: Shape
    is_integer: bool = False


@dataclass(frozen=True, slots=True)
class NamedShapes:
    """The shapes of several inputs, in the order of the manifest."""

    inputs: tuple[NamedShape, ...]

    @classmethod
    def of(cls, inputs: Sequence[NamedInput], shapes: Sequence[Shape]) -> Self:
        """Return the shapes of declared inputs, given in their order."""
        return cls(
            tuple(
                NamedShape(each.name, shape, each.type is InputType.INTEGER)
                for each, shape in zip(inputs, shapes, strict=True)
            )
        )

    def __str__(self) -> str:
        return ", ".join(f"{each.name} {list(each.shape)}" for each in self.inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(each.name for each in self.inputs)


InputShape = Shape | NamedShapes
"""Shape of one sample, without the batch dimension."""


def declared_shape(spec: JobSpec) -> InputShape | None:
    """Return the shape of a sample that the manifest states; None if it does not state all of it."""
    if not spec.data.inputs:
        return spec.model.input_shape
    stated = [each.shape for each in spec.data.inputs if each.shape is not None]
    return NamedShapes.of(spec.data.inputs, stated) if len(stated) == len(spec.data.inputs) else None


def shape_text(shape: InputShape) -> str:
    """Return a shape as text for people: ``[3, 32, 32]``, or ``image [1, 64, 64], age [1]``."""
    return str(shape) if isinstance(shape, NamedShapes) else str(list(shape))


def shape_json(shape: InputShape) -> list[int] | dict[str, list[int]]:
    """Return a shape as JSON: a list, or for several inputs a list by name."""
    if isinstance(shape, NamedShapes):
        return {each.name: list(each.shape) for each in shape.inputs}
    return list(shape)


def elements(shape: InputShape) -> int:
    """Return the number of values in one sample."""
    if isinstance(shape, NamedShapes):
        return sum(math.prod(each.shape) for each in shape.inputs)
    return math.prod(shape)


def zeros(shape: InputShape, rows: int, dtype: torch.dtype, device: torch.device | None = None) -> Inputs:
    """Return a batch of zeros; ``dtype`` is that of inputs which are not declared to be integers."""
    if not isinstance(shape, NamedShapes):
        return torch.zeros(rows, *shape, dtype=dtype, device=device)
    return {
        each.name: torch.zeros(
            rows, *each.shape, dtype=torch.int64 if each.is_integer else dtype, device=device
        )
        for each in shape.inputs
    }


def tensors_of(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the tensors of inputs, in their order."""
    return (inputs,) if isinstance(inputs, Tensor) else tuple(inputs.values())


def for_each(inputs: Inputs, function: Callable[[Tensor], Tensor]) -> Inputs:
    """Apply a function to each input."""
    if isinstance(inputs, Tensor):
        return function(inputs)
    return {name: function(tensor) for name, tensor in inputs.items()}


def rows_of(inputs: Inputs, first: int, count: int) -> Inputs:
    """Return samples ``first`` … ``first + count - 1`` of a batch, as views."""
    return for_each(inputs, lambda tensor: tensor[first : first + count])


def joined(batches: Sequence[Inputs]) -> Inputs:
    """Concatenate batches of samples, at least one."""
    tensors = [batch for batch in batches if isinstance(batch, Tensor)]
    if tensors:
        return torch.cat(tensors)
    named = [batch for batch in batches if not isinstance(batch, Tensor)]
    return {name: torch.cat([batch[name] for batch in named]) for name in named[0]}


def converted(inputs: Inputs, dtype: torch.dtype | None, device: torch.device | None = None) -> Inputs:
    """Return inputs on a device; a single one has ``dtype`` then, and of several those that are floats."""
    if isinstance(inputs, Tensor):
        return inputs.to(device, dtype)
    return {
        name: tensor.to(device, dtype if tensor.is_floating_point() else None)
        for name, tensor in inputs.items()
    }


def shape_of(inputs: Inputs) -> InputShape:
    """Return the shape of one sample of a batch."""
    if isinstance(inputs, Tensor):
        return tuple(inputs.shape[1:])
    return NamedShapes(
        tuple(
            NamedShape(name, tuple(tensor.shape[1:]), not tensor.is_floating_point())
            for name, tensor in inputs.items()
        )
    )


def call(part: nn.Module, inputs: Inputs) -> Any:  # noqa: ANN401 - what a network returns
    """Call a network, or the first part of one, with its inputs; several are passed by name."""
    return part(inputs) if isinstance(inputs, Tensor) else part(**inputs)
