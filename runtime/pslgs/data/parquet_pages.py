"""Reads a Parquet file in batches of bounded size, so that its dictionaries cannot multiply it in memory.

A value of a dictionary is stored once and may be the value of every row.  So 256 rows may take 256 times as
much memory as the dictionary, which may be compressed besides.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_AT_ONCE: Final = 256
BYTES_AT_ONCE: Final = 2**28
"""Size in bytes beyond which a batch takes no further rows."""

_DICTIONARY_PAGE: Final = 2
_INT32_FIELD: Final = 0x15  # of Thrift's compact protocol: the number of the field before, plus one
_HEADER_BYTES: Final = 16
"""Bytes from which the first two fields of a page's header are read."""


def bounded_batches(reader: pq.ParquetFile, file: Path, columns: Collection[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file in batches of at most `ROWS_AT_ONCE`, none of them empty.

    Raises:
        OSError: the file cannot be read.
        pa.ArrowException: it is damaged.
    """
    waiting: list[pa.RecordBatch] = []
    rows, size = 0, 0
    step = _safe_rows(file, reader.metadata, columns)
    for batch in reader.iter_batches(step, columns=[*columns]):
        if waiting and (rows + batch.num_rows > ROWS_AT_ONCE or size + batch.nbytes > BYTES_AT_ONCE):
            yield _combined(waiting)
            waiting, rows, size = [], 0, 0
        if batch.num_rows:
            waiting.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
    if waiting:
        yield _combined(waiting)


def _combined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _safe_rows(file: Path, metadata: pq.FileMetaData, columns: Collection[str]) -> int:
    """Return a number of rows that fit `BYTES_AT_ONCE` if each is as large as a dictionary; at least one."""
    largest = 1
    with file.open("rb") as opened:
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            chunks = [row_group.column(number) for number in range(row_group.num_columns)]
            for chunk in chunks:
                if chunk.path_in_schema.partition(".")[0] in columns:
                    start = chunk.dictionary_page_offset or chunk.data_page_offset
                    largest = max(largest, _dictionary_bytes(opened, start))
    return max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // largest))


def _dictionary_bytes(file: BinaryIO, start: int) -> int:
    """Return the decompressed size of the dictionary that begins a column chunk; 0 if it has none."""
    file.seek(start)
    header = file.read(_HEADER_BYTES)
    kind, after = _int32(header, 0)
    size, _ = _int32(header, after)
    return size if kind == _DICTIONARY_PAGE else 0


def _int32(header: bytes, at: int) -> tuple[int, int]:
    """Read a field of the type int32; return it, 0 if it is no such field, and the offset behind it."""
    if header[at : at + 1] != bytes((_INT32_FIELD,)):
        return 0, at
    encoded, shift = 0, 0
    for end in range(at + 1, len(header)):
        encoded |= (header[end] & 0x7F) << shift
        shift += 7
        if header[end] < 0x80:
            return (encoded >> 1) ^ -(encoded & 1), end + 1
    return 0, len(header)
