"""Conversion of Parquet columns of various types to one type for samples and few for labels."""

import pyarrow as pa
import pyarrow.compute as pc


class InvalidColumnError(ValueError):
    """Raised when a column cannot be used; the message begins with "column" and names it."""


def normalised_inputs(column: pa.Array, name: str) -> pa.Array:
    """Convert a column of samples to `binary` (image files) or a fixed-size list of float32 (features).

    Accepted types are Hugging Face's ``struct<bytes, path>``, binary, and lists of numbers of equal length.

    Raises:
        InvalidColumnError: the column has another type or missing values.
    """
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")
    if column.null_count:
        raise InvalidColumnError(f"column '{name}' has missing values; leave those rows out")
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return column.cast(pa.binary())
    if _is_list(column.type):
        return _rows_of_numbers(column, name)
    raise InvalidColumnError(
        f"column '{name}' has type {column.type}; it must hold image files or lists of numbers"
    )


def normalised_labels(column: pa.Array, name: str) -> pa.Array:
    """Convert a column of labels to int64 (classes), float32 (targets) or a fixed-size list of float32.

    Raises:
        InvalidColumnError: the column has another type or missing values.
    """
    if column.null_count:
        raise InvalidColumnError(f"column '{name}' has missing values; leave those rows out")
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return column.cast(pa.int64())
    if pa.types.is_floating(column.type):
        return column.cast(pa.float32())
    if _is_list(column.type):
        return _rows_of_numbers(column, name)
    raise InvalidColumnError(f"column '{name}' has type {column.type}; labels must be integers or floats")


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _rows_of_numbers(column: pa.Array, name: str) -> pa.Array:
    kind = column.type.value_type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise InvalidColumnError(f"column '{name}' holds lists of {kind}; they must hold numbers")
    lengths = pc.unique(pc.list_value_length(column))
    if len(lengths) != 1:
        raise InvalidColumnError(
            f"column '{name}' holds lists of different lengths; they must be equally long"
        )
    numbers = column.flatten()
    if numbers.null_count:
        raise InvalidColumnError(f"column '{name}' holds lists with missing values; leave those rows out")
    return pa.FixedSizeListArray.from_arrays(numbers.cast(pa.float32(), safe=False), lengths[0].as_py())
