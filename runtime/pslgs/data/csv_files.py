"""CSV datasets: columns of numbers, converted once to memory-mapped Arrow files."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.data.input_columns import InvalidColumnError
from pslgs.data.parquet import ParquetSource, TableFiles, open_converted
from pslgs.data.samples import DEFAULT_FORM, SampleForm
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError

_DELIMITERS: Final = ",;\t|"
_MISSING: Final = frozenset({"", "-", "?", "n/a", "na", "nan", "none", "null"})


def open_csv(source: DataSource, field: str, cache: Path, form: SampleForm = DEFAULT_FORM) -> ParquetSource:
    """Open the CSV files that match ``source.path``, in the order of their names.

    A file is UTF-8, possibly compressed by gzip (.csv.gz), and begins with the names of its columns, whose
    surrounding spaces do not count.  They are separated by a comma, semicolon, tab or vertical bar, whichever
    yields the names in the manifest.

    Raises:
        InputError: no file matches, a file is damaged or lacks a column, or an input is not a number.
    """
    names = tuple(source.classes) if source.classes else None
    files = TableFiles.of(source, field, form, CsvReader(names or ()))
    return ParquetSource(open_converted(files, cache), names, field, form, files.left_out)


class CsvReader:
    """Reads the rows of CSV files; the labels of all files get one type."""

    def __init__(self, names: Sequence[str]) -> None:
        """Read files whose labels may be ``names``, even if these would be missing values otherwise."""
        self._missing = _MISSING - {name.lower() for name in names}
        self._kinds: dict[str, pa.DataType] = {}

    def __call__(self, file: Path, table: TableFiles) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file, converted by `TableFiles.normalised`.

        Raises:
            InputError: a file is damaged or lacks a column, or a column cannot be used.
        """
        if not self._kinds and table.labels:
            for each in table.files:
                with _named(each, table):
                    self._add_kinds(_read(each, table, table.labels))
        with _named(file, table):
            rows = _read(file, table, table.columns)
            if rows.num_rows:
                columns = [self._column(rows.column(name), name, table) for name in table.columns]
                yield table.normalised(pa.RecordBatch.from_arrays(columns, table.columns), None)

    def _add_kinds(self, labels: pa.Table) -> None:
        for name in labels.column_names:
            found = _kind(labels.column(name), name, self._missing)
            self._kinds[name] = max(self._kinds.get(name, _KINDS[0]), found, key=_KINDS.index)

    def _column(self, column: pa.ChunkedArray, name: str, table: TableFiles) -> pa.Array:
        if name in self._kinds:
            return column.cast(self._kinds[name]).combine_chunks()
        if table.is_integer(name):
            return _cast(column, pa.int64(), name, "an integer")
        return _cast(column, pa.float64(), name, "a number")


@contextmanager
def _named(file: Path, table: TableFiles) -> Iterator[None]:
    """Name the file in the errors of the block."""
    try:
        yield
    except InvalidColumnError as error:
        raise InputError.at(table.field, f"holds '{file}', whose {error.located(0)}") from error
    except (pa.ArrowException, DamagedFileError) as error:
        reason = str(error).splitlines()[0]
        if isinstance(error.__cause__, UnicodeDecodeError) or "UTF8" in reason:
            reason = "its text is not UTF-8; save it with this encoding"
        raise InputError.at(
            table.field, f"holds '{file}', which is not a valid CSV file ({reason})"
        ) from error


def _read(file: Path, table: TableFiles, columns: Sequence[str]) -> pa.Table:
    """Read the columns of a file as text, without spaces around it."""
    delimiter, stored = _header(file, table)
    with read_by_library():
        rows = arrow_csv.read_csv(
            file,
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=[stored[name] for name in columns],
                column_types={stored[name]: pa.string() for name in columns},
                strings_can_be_null=False,
            ),
        )
    return pa.table({name: pc.utf8_trim_whitespace(rows.column(stored[name])) for name in columns})


def headers_of(file: Path) -> dict[str, list[str]]:
    """Return the names of columns as they are stored, for each delimiter that a file may have."""
    with (
        read_by_library(),
        pa.input_stream(str(file), compression="detect") as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines,
    ):
        head = [lines.readline()]
        return {each: next(csv.reader(head, delimiter=each), []) for each in _DELIMITERS}


def _header(file: Path, table: TableFiles) -> tuple[str, Mapping[str, str]]:
    """Return the delimiter of a file, and the name of each column as it is stored, with spaces around it."""
    headers = headers_of(file)
    wanted = set(table.columns)
    delimiter = max(
        headers, key=lambda each: (wanted <= {*map(str.strip, headers[each])}, len(headers[each]))
    )
    names = headers[delimiter]
    table.check_columns([name.strip() for name in names], file)
    return delimiter, {name.strip(): name for name in names}


_KINDS: Final = (pa.int64(), pa.float64(), pa.string())
"""Types of labels; the first that fits all values is taken."""


def _kind(column: pa.ChunkedArray, name: str, missing: Set[str]) -> pa.DataType:
    """Return the type of a column of labels, without texts of ``missing``."""
    for kind in _KINDS[:2]:
        try:
            column.cast(kind)
        except pa.ArrowInvalid:
            continue
        return kind
    _check_given(
        column.to_pylist(), name, missing, "; leave those rows out, or add their name to spec.data.classes"
    )
    return _KINDS[-1]


def _cast(column: pa.ChunkedArray, kind: pa.DataType, name: str, expected: str) -> pa.Array:
    try:
        converted = column.cast(kind).combine_chunks()
    except pa.ArrowInvalid as error:
        values = column.to_pylist()
        _check_given(values, name)
        row = next(row for row, value in enumerate(values) if not _fits(value, kind))
        raise InvalidColumnError(
            f"column '{name}' holds '{values[row][:40]}', which is not {expected}; {_remedy(values[row])}",
            row,
        ) from error
    if pa.types.is_floating(kind) and pc.any(pc.is_nan(converted)).as_py():
        row = pc.index(pc.is_nan(converted), value=True).as_py()
        raise InvalidColumnError(f"column '{name}' has missing values; leave those rows out", row)
    return converted


def _remedy(value: str) -> str:
    if _LOCAL_NUMBER.fullmatch(value):
        return "write numbers with a decimal point and nothing between thousands, such as 1234.5"
    return "replace categories by a column of 0 and 1 for each, or, for an Embedding, by their numbers"


_LOCAL_NUMBER: Final = re.compile(r"[-+]?\d[\d.,'\s]*%?")
"""Numbers as people and spreadsheets write them."""


def _check_given(
    values: Sequence[str], name: str, missing: Set[str] = _MISSING, remedy: str = "; leave those rows out"
) -> None:
    row = next((row for row, value in enumerate(values) if value.lower() in missing), None)
    if row is not None:
        raise InvalidColumnError(f"column '{name}' has missing values{remedy}", row)


def _fits(value: str, kind: pa.DataType) -> bool:
    try:
        pa.scalar(value).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
