"""Conversion of Parquet files to an Arrow IPC file, which clients on one machine memory-map and share.

Parquet files are compressed by row group, so that reading one sample decompresses a whole group.  The
converted file is not compressed: any row is read in place, and all clients share its pages in the
operating system's page cache.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pslgs.data.columns import InvalidColumnError, normalised_inputs, normalised_labels
from pslgs.spec.errors import InputError

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
    descriptor, partial = tempfile.mkstemp(dir=target.parent, prefix=target.stem, suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as file:
            with pa.ipc.new_file(file, first.schema) as writer:
                writer.write(first)
                for batch in batches:
                    writer.write(batch)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(target)
    finally:
        Path(partial).unlink(missing_ok=True)


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
