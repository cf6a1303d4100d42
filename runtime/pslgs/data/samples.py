"""From stored values to a sample: scaling by type, and layout by declaration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import InputType, Layout, Standardization
from pslgs.spec.named_inputs import INPUTS, NamedInput

ValueRange = tuple[float, float]
"""The values that become 0 and 1; see ``spec.data.range``."""

LAYOUT: Final = "spec.data.layout"
INPUT_TYPE: Final = "spec.data.inputType"

_IMAGE_CHANNELS: Final = {1, 3, 4}
_LARGEST_UINT16: Final = np.float32(65535)


@dataclass(frozen=True, slots=True)
class SampleForm:
    """What the manifest says of stored values.

    Attributes:
        layout: Order of the dimensions of an array; None for the rule of `arranged`.
        value_range: Values that become 0 and 1; None for the rule of `scaled`.
        input_type: Type of the model's inputs.
        length: Length to which lists of numbers are cut or filled up; None to leave them as they are.
        layout_field: Path of the field that declares the layout, for error messages.
        type_field: Path of the field that declares the type.
        is_wide: Whether numbers that float32 may not hold stay float64, because they are standardised.
        columns: Columns of a table that make up the input; empty unless it is one of several.
        named: Name -> form of each input of a model with several, for which alone it is meant then.
    """

    layout: Layout | None = None
    value_range: ValueRange | None = None
    input_type: InputType = InputType.FLOAT
    length: int | None = None
    layout_field: str = LAYOUT
    type_field: str = INPUT_TYPE
    is_wide: bool = False
    columns: tuple[str, ...] = ()
    named: Mapping[str, "SampleForm"] = field(default_factory=dict)

    @classmethod
    def of(cls, data: DataSpec) -> Self:
        """Return the form that a manifest declares."""
        if not data.inputs:
            return cls(
                data.layout, data.value_range, data.input_type, data.length, is_wide=data.is_standardized
            )
        return cls(named={each.name: cls._of_input(i, each) for i, each in enumerate(data.inputs)})

    @classmethod
    def _of_input(cls, position: int, declared: NamedInput) -> Self:
        path = f"{INPUTS}[{position}]"
        return cls(
            declared.layout,
            declared.value_range,
            declared.type,
            declared.length,
            f"{path}.layout",
            f"{path}.type",
            is_wide=declared.standardize is not Standardization.NONE,
            columns=declared.chosen_columns,
        )

    @property
    def is_integer(self) -> bool:
        """Whether inputs are int64."""
        return self.input_type is InputType.INTEGER

    def sample(self, values: NDArray[Any]) -> Tensor:
        """Convert a stored array to a sample, a copy: int64 if inputs are integers, else uint8 or float32.

        What is to be standardised is float64 if it is stored so, or as integers of 32 bits or more.

        Raises:
            InputError: the values are no integers although the inputs are, or do not fit the layout.
        """
        if self.is_integer:
            converted: NDArray[Any] = _as_integers(values, self.type_field)
        else:
            converted = self._as_floats(values)
        if self.length is not None and converted.ndim == 1:
            converted = fitted(converted, self.length)
        return torch.from_numpy(
            np.array(arranged(converted, self.layout, values.dtype, self.layout_field), order="C")
        )

    def _as_floats(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.is_wide and self.value_range is None and is_wide(values.dtype):
            return values.astype(np.float64)
        return scaled(values, self.value_range)


def is_wide(kind: np.dtype[Any]) -> bool:
    """Return whether float32 does not hold all numbers of a type."""
    return kind.kind in "fiu" and kind.itemsize >= 4 and kind != np.float32


DEFAULT_FORM: Final = SampleForm()


def scaled(values: NDArray[Any], value_range: ValueRange | None) -> NDArray[Any]:
    """Scale values by their type, whatever their shape.

    uint8 stays, since transforms expect it, and is divided by 255 after them.  uint16 is divided by 65535.
    All other types become float32 as they are.  With ``value_range``, all but uint8 are scaled from that
    range to 0 … 1, and clipped.
    """
    if values.dtype == np.uint8:
        return values
    as_float = values.astype(np.float32)
    if value_range is not None:
        low, high = value_range
        clipped: NDArray[Any] = ((as_float - np.float32(low)) / np.float32(high - low)).clip(0.0, 1.0)
        return clipped
    return as_float / _LARGEST_UINT16 if values.dtype.kind == "u" and values.itemsize == 2 else as_float


def arranged(
    values: NDArray[Any], layout: Layout | None, stored: np.dtype[Any], field: str = LAYOUT
) -> NDArray[Any]:
    """Return a view of a sample with its channels first.

    Args:
        values: The sample.
        layout: The declared order of its dimensions.  Without one, uint8 and uint16 arrays of two or three
            dimensions are images: those of two get a channel, and of those of three, 1, 3 or 4 channels may
            come first or last.  All other samples stay as they are.
        stored: Type of the values as they are stored.
        field: Path of the field that declares the layout, for error messages.

    Raises:
        InputError: the dimensions do not fit the layout, or an image may have its channels first or last.
    """
    if layout is Layout.FLAT:
        return values.reshape(-1)
    if layout is None:
        is_image = stored.kind == "u" and stored.itemsize <= 2
        return _image(values, field) if is_image and values.ndim in {2, 3} else values
    if values.ndim == len(layout) - 1:
        return values[None]
    if values.ndim != len(layout):
        raise InputError.at(
            field,
            f"is {layout}, which has {len(layout)} dimensions, or {len(layout) - 1} with a single channel; a "
            f"sample has the shape {list(values.shape)}",
        )
    return values if layout.startswith("C") else np.moveaxis(values, -1, 0)


def _image(values: NDArray[Any], field: str) -> NDArray[Any]:
    if values.ndim == 2:
        return values[None]
    first, last = (values.shape[axis] in _IMAGE_CHANNELS for axis in (0, -1))
    if first and last:
        raise InputError.at(
            field,
            f"is missing, and images of the shape {list(values.shape)} may have their channels first or "
            "last; set it to CHW or HWC",
        )
    return np.moveaxis(values, -1, 0) if last else values


def fitted(values: NDArray[Any], length: int) -> NDArray[Any]:
    """Cut a list of numbers to ``length``, or fill it up with 0 at the end."""
    kept = values[:length]
    return np.pad(kept, (0, length - len(kept))) if len(kept) < length else kept


def _as_integers(values: NDArray[Any], field: str) -> NDArray[np.int64]:
    if values.dtype.kind not in "bui":
        raise InputError.at(
            field, f"is Integer, but the data hold values of type {values.dtype}; store integers"
        )
    return values.astype(np.int64)
