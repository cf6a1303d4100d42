"""Parquet datasets, and the conversion of tables to memory-mapped Arrow files."""

import fcntl
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pslgs.atomic_file import replacing
from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.data.discovery import matching_files
from pslgs.data.input_columns import (
    InvalidColumnError,
    Shape,
    check_complete,
    is_list,
    named_inputs,
    normalised_inputs,
    rows_of_numbers,
    shape_metadata,
    shapes_in,
    stacked_inputs,
)
from pslgs.data.left_out import LeftOut
from pslgs.data.parquet_pages import bounded_batches
from pslgs.data.samples import DEFAULT_FORM, SampleForm
from pslgs.data.source import DamagedSampleError, named_labels, nfc
from pslgs.data.stored_input import column_of, forms_of, load_row, stored_inputs
from pslgs.json_text import parse_json
from pslgs.model_inputs import Inputs
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import INPUTS
from pslgs.spec.violations import nearest


def normalised_labels(column: pa.Array, name: str) -> pa.Array:
    """Convert a column of labels to int64, float32, a fixed-size list of float32, or text.

    Raises:
        InvalidColumnError: the column has another type or missing values.
    """
    check_complete(column, name, "leave those rows out")
    if pa.types.is_dictionary(column.type):
        return normalised_labels(column.dictionary_decode(), name)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return column.cast(pa.int64())
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return column.cast(pa.float32())
    if is_list(column.type):
        return _float_lists(rows_of_numbers(column, name))
    raise InvalidColumnError(
        f"column '{name}' has type {column.type}; labels must be numbers, text or lists of numbers"
    )


def _float_lists(values: NDArray[Any]) -> pa.Array:
    if values.ndim != 2:
        raise InvalidColumnError(f"labels are nested lists of the shape {list(values.shape[1:])}")
    flat = values.astype(np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), values.shape[1])


_SHOWN: Final = 20
"""Maximum number of columns that an error names."""
LAYOUT = "2"  # version of the converted file's layout; a part of the cache key


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The Parquet or CSV files of a dataset and their columns.

    Attributes:
        files: The files; samples are numbered in this order.
        inputs: Names of the columns with the samples.
        labels: Names of the columns with the labels; empty for rows without labels.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
        read: Reads the rows of a file.
        form: What the manifest says of the samples.
        is_stacked: Whether the input columns are combined, as ``inputColumns`` are; otherwise there is one.
        has_label_list: Whether the label columns are combined, as ``labelColumns`` are.
        left_out: Files that match the pattern, but are not read.
    """

    files: tuple[Path, ...]
    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    field: str
    read: "BatchReader"
    form: SampleForm = DEFAULT_FORM
    is_stacked: bool = False
    has_label_list: bool = False
    left_out: tuple[LeftOut, ...] = ()

    @classmethod
    def of(cls, source: DataSource, field: str, form: SampleForm, read: "BatchReader") -> Self:
        """Find the files of a source.

        Raises:
            InputError: no file matches, one is not readable, or some of the inputs are labels.
        """
        files, left_out = matching_files(source.path or "", f"{field}.path")
        of_inputs = [column for each in form.named.values() for column in each.columns]
        inputs = tuple(dict.fromkeys(of_inputs)) or source.input_columns or (source.input_column,)
        labels = source.label_columns or (source.label_column,)
        both = [name for name in inputs if name in labels]
        if both and set(inputs) != set(labels):  # an autoencoder has the same columns as both
            raise InputError.at(
                INPUTS if form.named else f"{field}.inputColumns",
                f"names '{both[0]}', which is a label, so that the model would read what it has to predict; "
                "remove it",
            )
        return cls(
            tuple(files),
            inputs,
            labels,
            field,
            read,
            form,
            is_stacked=source.input_columns is not None or bool(form.named),
            has_label_list=source.label_columns is not None,
            left_out=left_out,
        )

    @property
    def columns(self) -> list[str]:
        """Names of the columns that are read."""
        return list(dict.fromkeys((*self.inputs, *self.labels)))

    def is_integer(self, column: str) -> bool:
        """Return whether a column of numbers holds integers, of which an input consists."""
        forms = [each for each in self.form.named.values() if column in each.columns]
        return any(each.is_integer for each in forms or [self.form])

    def check_columns(self, found: Sequence[str], file: Path) -> None:
        """Check that a file has each of the columns once.

        Raises:
            InputError: it lacks one, or has several of its name.
        """
        for key, names, several in (
            ("inputColumn", self.inputs, self.is_stacked),
            ("labelColumn", self.labels, self.has_label_list),
        ):
            for name in (each for each in names if found.count(each) != 1):
                path, says = (f"{key}s", "names") if several else (key, "is")
                has = f"has {found.count(name)} columns of this name; rename the others"
                if name not in found:
                    meant = nearest(name, found)
                    has = f"has no such column{meant}" if meant else f"has the columns {_listed(found)}"
                at = INPUTS if self.form.named and names is self.inputs else f"{self.field}.{path}"
                raise InputError.at(at, f"{says} '{name}', but '{file}' {has}")

    def normalised(self, batch: pa.RecordBatch, metadata: dict[bytes, bytes] | None) -> pa.RecordBatch:
        """Convert a batch of rows to a column for each input and, if there are labels, ``label``.

        Raises:
            InvalidColumnError: a column has a wrong type or missing values.
        """
        inputs = {name: self._input(batch, form) for name, form in forms_of(self.form).items()}
        fields = {column_of(name): values for name, (values, _) in inputs.items()}
        kept = dict(metadata or {})
        for name, (_, shape) in inputs.items():
            kept |= shape_metadata(shape, name)
        if self.labels:
            fields["label"] = self._labels(batch)
        schema = pa.schema([(name, values.type) for name, values in fields.items()], metadata=kept)
        return pa.RecordBatch.from_arrays([*fields.values()], schema=schema)

    def _labels(self, batch: pa.RecordBatch) -> pa.Array:
        if self.has_label_list:
            labels, _ = stacked_inputs([batch.column(name) for name in self.labels], self.labels)
            return labels
        return normalised_labels(batch.column(self.labels[0]), self.labels[0])

    def _input(self, batch: pa.RecordBatch, form: SampleForm) -> tuple[pa.Array, Shape]:
        names = form.columns or self.inputs
        columns = [batch.column(name) for name in names]
        if form.columns:
            return named_inputs(columns, names, form)
        if self.is_stacked:
            return stacked_inputs(columns, names, form)
        return normalised_inputs(columns[0], names[0], form)


def _listed(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - _SHOWN:,} more" if len(columns) > _SHOWN else ""
    return ", ".join(columns[:_SHOWN]) + more


BatchReader = Callable[[Path, TableFiles], Iterator[pa.RecordBatch]]
"""Yields the rows of a file, converted by `TableFiles.normalised`; raises InputError."""


def open_converted(table: TableFiles, cache: Path) -> pa.Table:
    """Return the converted table, memory-mapped; the files are converted unless they have been before.

    The table has the column ``input``, or one for each of several inputs, and ``label``.  If several
    processes call this at the same time, one converts the files and the others wait for it.

    Args:
        table: The files to convert.
        cache: Folder of the converted files; created if it does not exist.

    Raises:
        InputError: a file is damaged or lacks a column, or the cache folder cannot be written.
    """
    target = cache / f"{_key(table)}.arrow"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_suffix(".lock")):
            if not target.exists():
                _convert(table, target)
        return pa.ipc.open_file(pa.memory_map(str(target))).read_all()
    except OSError as error:
        raise InputError.at(
            table.field,
            f"cannot be converted in '{cache}' ({error}); free some space there or name another folder",
        ) from error


def _key(table: TableFiles) -> str:
    form = table.form
    parts = [LAYOUT, *table.inputs, "", *table.labels, str((table.is_stacked, table.has_label_list))]
    parts += [form.input_type, str(form.length), *(["wide"] if form.is_wide else [])]
    for name, each in form.named.items():
        parts += [name, *each.columns, "", each.input_type, str((each.length, each.is_wide))]
    for file in table.files:
        status = file.stat()
        parts += [str(file.resolve()), str(status.st_size), str(status.st_mtime_ns)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the system releases it even if the process is killed
        yield


def _convert(table: TableFiles, target: Path) -> None:
    batches = _normalised_batches(table)
    first = next(batches, None)
    if first is None:
        raise InputError.at(table.field, "holds no samples; check that the path leads to the data")
    with (
        replacing(target) as new,
        new.open("wb") as file,
        pa.ipc.new_file(file, first.schema) as writer,
    ):
        writer.write(first)
        for batch in batches:
            writer.write(batch)


def _normalised_batches(table: TableFiles) -> Iterator[pa.RecordBatch]:
    schema: pa.Schema | None = None
    for file in table.files:
        for batch in table.read(file, table):
            if schema is not None and not _same_form(batch.schema, schema):
                raise InputError.at(
                    table.field,
                    f"holds '{file}', whose rows differ in type or length from those before them",
                )
            schema = batch.schema
            yield batch


def _same_form(one: pa.Schema, other: pa.Schema) -> bool:
    return bool(one.equals(other)) and shapes_in(one.metadata) == shapes_in(other.metadata)


def parquet_batches(file: Path, table: TableFiles) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file, converted by `TableFiles.normalised`.

    Raises:
        InputError: the file is damaged or lacks a column, or a column cannot be used.
    """
    first = 0
    try:
        for batch, metadata in _stored_batches(file, table):
            yield _normalised(table, batch, metadata)
            first += batch.num_rows
    except InvalidColumnError as error:
        raise InputError.at(table.field, f"holds '{file}', whose {error.located(first)}") from error
    except (pa.ArrowException, DamagedFileError) as error:
        reason = str(error).splitlines()[0]
        raise InputError.at(
            table.field, f"holds '{file}', which is not a valid Parquet file ({reason})"
        ) from error


def _stored_batches(
    file: Path, table: TableFiles
) -> Iterator[tuple[pa.RecordBatch, dict[bytes, bytes] | None]]:
    with read_by_library(), pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as reader:
        table.check_columns(reader.schema_arrow.names, file)
        for batch in bounded_batches(reader, file, table.columns):
            yield batch, reader.schema_arrow.metadata


def _normalised(
    table: TableFiles, batch: pa.RecordBatch, metadata: dict[bytes, bytes] | None
) -> pa.RecordBatch:
    """Convert a batch; a value that its type cannot hold is an error of the columns, and not of the file."""
    try:
        return table.normalised(batch, metadata)
    except pa.ArrowInvalid as error:
        names = " or ".join(f"'{name}'" for name in table.columns)
        raise InvalidColumnError(
            f"column {names} cannot be used ({str(error).splitlines()[0]}); correct its values"
        ) from error


def samples_of(file: Path, table: TableFiles) -> Iterator[Inputs]:
    """Decode the inputs of one of a table's files, row by row, without a converted file.

    Raises:
        InputError: the file is damaged or lacks a column, or a column or an image cannot be used.
    """
    first = 0
    for batch in table.read(file, table):
        inputs = stored_inputs(pa.Table.from_batches([batch]), table.form)
        for row in range(batch.num_rows):
            try:
                yield load_row(inputs, 0, row)
            except InputError:
                raise
            except ValueError as error:
                raise InputError.at(
                    table.field, f"holds '{file}', with a damaged image in row {first + row}: {error}"
                ) from error
        first += batch.num_rows


class ParquetSource:
    """A source over a memory-mapped table, whose rows are decoded on access.

    Attributes:
        labels: The label of each row.
        class_names: The name of each class, or None where they are unknown.
    """

    is_thread_safe = True
    is_in_memory = False

    def __init__(
        self,
        table: pa.Table,
        class_names: tuple[str, ...] | None,
        field: str,
        form: SampleForm = DEFAULT_FORM,
        left_out: Sequence[LeftOut] = (),
    ) -> None:
        self.left_out = left_out
        named = named_labels(_to_numpy(table.column("label")), class_names, field)
        self.labels, self.class_names, self.has_text_labels = named
        self._inputs = stored_inputs(table, form)
        self._starts = np.cumsum([0, *map(len, next(iter(self._inputs.values())).chunks)])
        self._field = field

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Inputs:
        """Decode the inputs of one row: images of shape (3, height, width), or arrays (see `SampleForm`).

        Raises:
            DamagedSampleError: the image is damaged.
            InputError: an array does not fit the declared layout.
        """
        chunk = int(np.searchsorted(self._starts, index, side="right")) - 1
        try:
            return load_row(self._inputs, chunk, index - int(self._starts[chunk]))
        except InputError:
            raise
        except ValueError as error:
            raise DamagedSampleError.at(
                self._field, f"has a damaged image in row {index}: {error}"
            ) from error


def open_parquet(
    source: DataSource, field: str, cache: Path, form: SampleForm = DEFAULT_FORM
) -> ParquetSource:
    """Open the Parquet files that match ``source.path``, in the order of their names.

    Raises:
        InputError: no file matches, a file is damaged, or a column is missing or has a wrong type.
    """
    files = TableFiles.of(source, field, form, parquet_batches)
    table = open_converted(files, cache)
    if source.label_columns is not None:
        _check_no_classes(table.schema, source.label_columns, field)
        return ParquetSource(table, source.classes, field, form, files.left_out)
    names = _stored_class_names(table.schema, source.label_column) or source.classes
    return ParquetSource(table, names, field, form, files.left_out)


def _check_no_classes(schema: pa.Schema, columns: Sequence[str], field: str) -> None:
    """Check that none of several columns of targets has the numbers of more than two classes.

    Raises:
        InputError: one has.
    """
    for name in columns:
        classes = _stored_class_names(schema, name) or ()
        if len(classes) > 2:
            raise InputError.at(
                f"{field}.labelColumns",
                f"names '{name}', which has the numbers of {len(classes)} classes, and these are no targets; "
                "store a column of 0 and 1 for each class",
            )


def _to_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    if not pa.types.is_fixed_size_list(column.type):
        flat: NDArray[Any] = column.to_numpy()
        return flat
    rows: NDArray[Any] = column.combine_chunks().flatten().to_numpy()
    return rows.reshape(len(column), -1)


def _stored_class_names(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    # Hugging Face stores {"info": {"features": {"label": {"names": […]}}}} in the schema's metadata.
    stored = (schema.metadata or {}).get(b"huggingface")
    if stored is None:
        return None
    try:
        document: Any = parse_json(stored)
        return nfc([*map(str, document["info"]["features"][label_column]["names"])])
    except (ValueError, LookupError, TypeError):
        return None
