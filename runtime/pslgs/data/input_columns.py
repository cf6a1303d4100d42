"""Columns of Arrow tables as inputs: image files, or numbers in arrays of one shape."""

import json
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pslgs.data.samples import DEFAULT_FORM, SampleForm, fitted

SHAPE: Final = b"pslgs.shape"
"""Key of a sample's shape, as a JSON list, in the metadata of a converted table."""

Shape = tuple[int, ...]


FILL_IN: Final = (
    "leave those rows out, or fill them in before (for example with the mean, and a further column of 0 and "
    "1 that says where)"
)
"""What can be done about missing values of inputs."""


class InvalidColumnError(ValueError):
    """Raised when a column cannot be used; the message begins with "column" and names it.

    Attributes:
        row: Position in the column of the row that is to blame; None if the whole column is.
    """

    def __init__(self, problem: str, row: int | None = None) -> None:
        super().__init__(problem)
        self.row = row

    def located(self, first: int) -> str:
        """Return the message with the number of the row, if that of the column's first is ``first``."""
        return str(self) if self.row is None else f"{self} (row {first + self.row}, counted from 0)"


class InvalidColumnsError(ValueError):
    """Raised when columns have several faults.

    Attributes:
        faults: The faults, at least one.
    """

    def __init__(self, faults: Sequence[InvalidColumnError]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


def normalised_inputs(column: pa.Array, name: str, form: SampleForm = DEFAULT_FORM) -> tuple[pa.Array, Shape]:
    """Convert a column of samples to `binary` (image files) or a fixed-size list of numbers.

    Accepted types are Hugging Face's ``struct<bytes, path>``, binary, tensors of a fixed shape, and lists of
    numbers, or of such lists, of equal length.

    Returns:
        The column, and the shape of a sample; that of image files is empty.

    Raises:
        InvalidColumnError: the column has another type or missing values.
    """
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")
    check_complete(column, name)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return column.cast(pa.binary()), ()
    if not _is_array(column.type):
        raise InvalidColumnError(
            f"column '{name}' has type {column.type}; it must hold image files or lists of numbers"
        )
    values = rows_of_numbers(column, name, form)
    return _as_lists(values), values.shape[1:]


def stacked_inputs(
    columns: Sequence[pa.Array], names: Sequence[str], form: SampleForm = DEFAULT_FORM
) -> tuple[pa.Array, Shape]:
    """Combine several columns to one of samples: numbers to a vector, arrays of one shape to channels.

    Returns:
        A fixed-size list of float32, of int64 if inputs are integers, or of float64 if they are standardised,
        and the shape of a sample, which is (columns,) or (columns, *shape of a column's arrays).

    Raises:
        InvalidColumnError: a column holds neither numbers nor arrays, has missing values, or has arrays
            of another shape than the first column.
    """
    parts = [_numbers(column, name, form) for column, name in zip(columns, names, strict=True)]
    for part, name in zip(parts, names, strict=True):
        if part.shape[1:] != parts[0].shape[1:]:
            raise InvalidColumnError(
                f"column '{name}' holds samples of the shape {list(part.shape[1:])}, but '{names[0]}' of "
                f"{list(parts[0].shape[1:])}; inputColumns must have one shape"
            )
    values = np.stack(parts, axis=1)
    return _as_lists(values), values.shape[1:]


def check_complete(column: pa.Array, name: str, remedy: str = FILL_IN) -> None:
    """Check that a column has no missing values; ``remedy`` says what can be done about them.

    Raises:
        InvalidColumnError: it has.
    """
    if column.null_count:
        row = pc.index(column.is_null(), value=True).as_py()
        raise InvalidColumnError(f"column '{name}' has missing values; {remedy}", row)


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def rows_of_numbers(column: pa.Array, name: str, form: SampleForm = DEFAULT_FORM) -> NDArray[Any]:
    """Convert a column of lists or tensors of numbers; shape (rows, *shape of a list).

    Returns:
        int64 if inputs are integers; else uint8 and uint16 as they are, and float32, or float64 if they are
        standardised, for all other types.

    Raises:
        InvalidColumnError: the lists differ in length or hold something else, or values are missing.
    """
    if isinstance(column.type, pa.FixedShapeTensorType):
        return _flat(column.storage, name, form).reshape(len(column), *column.type.shape)
    if form.length is not None and not is_list(column.type.value_type):
        return _fitted_rows(column, name, form, form.length)
    return _flat(column, name, form)


def _flat(column: pa.Array, name: str, form: SampleForm) -> NDArray[Any]:
    lengths = pc.list_value_length(column)
    if len(pc.unique(lengths)) > 1:
        row = pc.index(pc.not_equal(lengths, lengths[0]), value=True).as_py()
        raise InvalidColumnError(
            f"column '{name}' holds lists of different lengths; make them equally long, or set "
            "spec.data.length",
            row,
        )
    length = lengths[0].as_py() if len(column) else 0
    if len(column) and not length:
        raise InvalidColumnError(f"column '{name}' holds empty lists; leave those rows out", 0)
    inner = column.flatten()
    if inner.null_count:
        row = pc.index(inner.is_null(), value=True).as_py() // max(1, length)
        raise InvalidColumnError(
            f"column '{name}' holds lists with missing values; leave those rows out", row
        )
    if is_list(inner.type):
        nested = _flat(inner, name, form)
        return nested.reshape(len(column), length, *nested.shape[1:])
    return _converted(inner, name, form).reshape(len(column), length)


def _fitted_rows(column: pa.Array, name: str, form: SampleForm, length: int) -> NDArray[Any]:
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    inner = column.flatten()
    if inner.null_count:
        position = pc.index(inner.is_null(), value=True).as_py()
        row = int(np.searchsorted(np.cumsum(lengths), position, side="right"))
        raise InvalidColumnError(
            f"column '{name}' holds lists with missing values; leave those rows out", row
        )
    values = _converted(inner, name, form)
    stops = np.cumsum(lengths)
    rows = [fitted(values[stop - held : stop], length) for held, stop in zip(lengths, stops, strict=True)]
    return np.stack(rows)


def _numbers(column: pa.Array, name: str, form: SampleForm) -> NDArray[Any]:
    """Convert a column of numbers or of arrays to floats, or to int64 if inputs are integers."""
    check_complete(column, name)
    values = rows_of_numbers(column, name, form) if _is_array(column.type) else _converted(column, name, form)
    return values if form.is_integer or values.dtype == np.float64 else values.astype(np.float32)


def _converted(values: pa.Array, name: str, form: SampleForm) -> NDArray[Any]:
    kind = values.type
    if pa.types.is_boolean(kind):
        values, kind = values.cast(pa.uint8()), pa.bool_()
    elif not holds_numbers(kind):
        raise InvalidColumnError(_no_numbers(kind, values, name))
    if form.is_integer:
        if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            raise InvalidColumnError(f"column '{name}' holds {kind}, but {form.type_field} is Integer")
        return np.asarray(values.cast(pa.int64()))
    if kind in {pa.uint8(), pa.uint16()}:
        return np.asarray(values)
    wide = values.cast(pa.float64(), safe=False) if form.is_wide or pa.types.is_decimal(kind) else values
    if form.is_wide:
        return np.asarray(wide)
    return np.asarray(wide.cast(pa.float32(), safe=False))


def _no_numbers(kind: pa.DataType, values: pa.Array, name: str) -> str:
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        example = f" ('{str(values[0].as_py())[:40]}')" if len(values) else ""
        return (
            f"column '{name}' holds text{example}, but inputs are numbers; replace categories by a column of "
            "0 and 1 for each, or, for an Embedding, by their numbers"
        )
    return f"column '{name}' holds {kind}; inputs must be numbers"


def named_inputs(
    columns: Sequence[pa.Array], names: Sequence[str], form: SampleForm
) -> tuple[pa.Array, Shape]:
    """Convert the columns of one of several inputs: one of samples, or such that are stacked.

    Raises:
        InvalidColumnError: see `normalised_inputs` and `stacked_inputs`.
    """
    if len(columns) == 1 and not holds_numbers(columns[0].type):
        return normalised_inputs(columns[0], names[0], form)
    return stacked_inputs(columns, names, form)


def holds_numbers(kind: pa.DataType) -> bool:
    """Return whether a type is one of numbers or booleans."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def _is_array(kind: pa.DataType) -> bool:
    return is_list(kind) or isinstance(kind, pa.FixedShapeTensorType)


def _as_lists(values: NDArray[Any]) -> pa.Array:
    flat = np.ascontiguousarray(values).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), math.prod(values.shape[1:]))


def shape_metadata(shape: Shape, name: str = "") -> dict[bytes, bytes]:
    """Return the metadata of a converted table whose samples, or inputs of a name, have a shape."""
    return {SHAPE + name.encode(): json.dumps(shape).encode()}


def shape_in(metadata: dict[bytes, bytes] | None, name: str = "") -> Shape:
    """Return the shape that `shape_metadata` stored."""
    return tuple(json.loads((metadata or {})[SHAPE + name.encode()]))


def shapes_in(metadata: dict[bytes, bytes] | None) -> dict[bytes, bytes]:
    """Return all shapes that `shape_metadata` stored."""
    return {key: stored for key, stored in (metadata or {}).items() if key.startswith(SHAPE)}
