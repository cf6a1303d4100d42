"""Parquet datasets, converted once to memory-mapped Arrow files."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from pslgs.atomic_file import replacing
from pslgs.data.decoding import ValueRange, decode
from pslgs.data.images import matching_files
from pslgs.data.source import Labels, checked_labels
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError


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


LAYOUT = "1"  # version of the converted file's layout; a part of the cache key
ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """The Parquet files of a dataset and their columns.

    Attributes:
        files: The files; samples are numbered in this order.
        input_column: Name of the column with the samples.
        label_column: Name of the column with the labels.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
    """

    files: tuple[Path, ...]
    input_column: str
    label_column: str
    field: str


def open_converted(parquet: ParquetFiles, cache: Path) -> pa.Table:
    """Return the converted table, memory-mapped; the files are converted unless they have been before.

    The table has the columns ``input`` and ``label``.  If several processes call this at the same time, one
    converts the files and the others wait for it.

    Args:
        parquet: The files to convert.
        cache: Folder of the converted files; created if it does not exist.

    Raises:
        InputError: a file is damaged or lacks a column, or the cache folder cannot be written.
    """
    target = cache / f"{_key(parquet)}.arrow"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_suffix(".lock")):
            if not target.exists():
                _convert(parquet, target)
        return pa.ipc.open_file(pa.memory_map(str(target))).read_all()
    except OSError as error:
        raise InputError.at(
            parquet.field,
            f"cannot be converted in '{cache}' ({error}); free some space there or name another folder",
        ) from error


def _key(parquet: ParquetFiles) -> str:
    parts = [LAYOUT, parquet.input_column, parquet.label_column]
    for file in parquet.files:
        status = file.stat()
        parts += [str(file.resolve()), str(status.st_size), str(status.st_mtime_ns)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the system releases it even if the process is killed
        yield


def _convert(parquet: ParquetFiles, target: Path) -> None:
    batches = _normalised_batches(parquet)
    first = next(batches, None)
    if first is None:
        raise InputError.at(parquet.field, "holds no samples; check that the path leads to the data")
    with (
        replacing(target) as new,
        new.open("wb") as file,
        pa.ipc.new_file(file, first.schema) as writer,
    ):
        writer.write(first)
        for batch in batches:
            writer.write(batch)


def _normalised_batches(parquet: ParquetFiles) -> Iterator[pa.RecordBatch]:
    schema: pa.Schema | None = None
    for file in parquet.files:
        for batch in _batches_of(file, parquet):
            if schema is not None and not batch.schema.equals(schema):
                raise InputError.at(
                    parquet.field,
                    f"holds '{file}', whose rows differ in type or length from those before them",
                )
            schema = batch.schema
            yield batch


def _batches_of(file: Path, parquet: ParquetFiles) -> Iterator[pa.RecordBatch]:
    wanted = [parquet.input_column, parquet.label_column]
    try:
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as reader:
            _check_columns(reader.schema_arrow, file, parquet)
            for batch in reader.iter_batches(ROWS_AT_ONCE, columns=wanted):
                if batch.num_rows:
                    yield _normalised(batch, reader.schema_arrow.metadata, parquet)
    except InvalidColumnError as error:
        raise InputError.at(parquet.field, f"holds '{file}', whose {error}") from error
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError.at(
            parquet.field, f"holds '{file}', which is not a valid Parquet file ({reason})"
        ) from error


def _check_columns(schema: pa.Schema, file: Path, parquet: ParquetFiles) -> None:
    for name, key in ((parquet.input_column, "inputColumn"), (parquet.label_column, "labelColumn")):
        if name not in schema.names:
            listed = ", ".join(schema.names)
            raise InputError.at(
                f"{parquet.field}.{key}", f"is '{name}', but '{file}' has the columns {listed}"
            )


def _normalised(
    batch: pa.RecordBatch, metadata: dict[bytes, bytes] | None, parquet: ParquetFiles
) -> pa.RecordBatch:
    inputs = normalised_inputs(batch.column(parquet.input_column), parquet.input_column)
    labels = normalised_labels(batch.column(parquet.label_column), parquet.label_column)
    schema = pa.schema([("input", inputs.type), ("label", labels.type)], metadata=metadata)
    return pa.RecordBatch.from_arrays([inputs, labels], schema=schema)


class ParquetSource:
    """A source over a memory-mapped table, whose rows are decoded on access.

    Attributes:
        labels: The label of each row.
        class_names: The name of each class, or None where they are unknown.
    """

    is_thread_safe = True

    def __init__(
        self,
        table: pa.Table,
        class_names: tuple[str, ...] | None,
        field: str,
        value_range: ValueRange | None = None,
    ) -> None:
        self.labels = checked_labels(_to_numpy(table.column("label")), field)
        self.class_names = class_names
        self._chunks = table.column("input").chunks
        self._starts = np.cumsum([0, *map(len, self._chunks)])
        self._images = not pa.types.is_fixed_size_list(table.schema.field("input").type)
        self._field = field
        self._value_range = value_range

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Tensor:
        """Decode one row: an image of shape (3, height, width), or float32 features (features,).

        Raises:
            InputError: the image is damaged.
        """
        chunk = int(np.searchsorted(self._starts, index, side="right")) - 1
        value = self._chunks[chunk][index - int(self._starts[chunk])]
        if not self._images:
            return torch.from_numpy(np.array(value.values, dtype=np.float32))
        try:
            return decode(value.as_py(), self._value_range)
        except InputError:
            raise
        except ValueError as error:
            raise InputError.at(self._field, f"has a damaged image in row {index}: {error}") from error


def open_parquet(
    source: DataSource, field: str, cache: Path, value_range: ValueRange | None = None
) -> ParquetSource:
    """Open the Parquet files that match ``source.path``, in the order of their names.

    Raises:
        InputError: no file matches, a file is damaged, or a column is missing or has a wrong type.
    """
    files = tuple(matching_files(source.path or "", f"{field}.path"))
    table = open_converted(ParquetFiles(files, source.input_column, source.label_column, field), cache)
    names = (
        tuple(source.classes) if source.classes else _stored_class_names(table.schema, source.label_column)
    )
    return ParquetSource(table, names, field, value_range)


def _to_numpy(column: pa.ChunkedArray) -> Labels:
    if not pa.types.is_fixed_size_list(column.type):
        flat: Labels = column.to_numpy()
        return flat
    rows: Labels = column.combine_chunks().flatten().to_numpy()
    return rows.reshape(len(column), -1)


def _stored_class_names(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    # Hugging Face stores {"info": {"features": {"label": {"names": […]}}}} in the schema's metadata.
    stored = (schema.metadata or {}).get(b"huggingface")
    if stored is None:
        return None
    try:
        names = json.loads(stored)["info"]["features"][label_column]["names"]
    except (ValueError, LookupError, TypeError):
        return None
    return tuple(map(str, names))
