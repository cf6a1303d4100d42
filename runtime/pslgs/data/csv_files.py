"""CSV datasets: columns of numbers, converted once to memory-mapped Arrow files."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.data.input_columns import FILL_IN, InvalidColumnError, InvalidColumnsError
from pslgs.data.parquet import ParquetSource, TableFiles, open_converted
from pslgs.data.samples import DEFAULT_FORM, SampleForm
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError, Violation

_DELIMITERS: Final = ",;\t|"
_MISSING: Final = frozenset({"", "+nan", "-", "-nan", "?", "n/a", "na", "nan", "none", "null"})


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
    """Reads the rows of CSV files; the labels of all files get one type.

    Values that cannot be used are errors of which all in a file are told: the number of each kind, for each
    column, and the first one with its line.
    """

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
                columns = self._columns(rows, table)
                yield table.normalised(pa.RecordBatch.from_arrays(columns, table.columns), None)

    def _add_kinds(self, labels: pa.Table) -> None:
        for name in labels.column_names:
            found = _kind(labels.column(name))
            self._kinds[name] = max(self._kinds.get(name, _KINDS[0]), found, key=_KINDS.index)

    def _columns(self, rows: pa.Table, table: TableFiles) -> list[pa.Array]:
        converted: list[pa.Array] = []
        faults: list[InvalidColumnError] = []
        for name in table.columns:
            column, kind = rows.column(name), self._kind_of(name, table)
            values = _cast(column, kind)
            if values is None or _has_missing(values, self._missing):
                faults += self._faults(column.to_pylist(), kind, name)
            converted.append(values)
        if faults:
            raise InvalidColumnsError(faults)
        return converted

    def _kind_of(self, name: str, table: TableFiles) -> pa.DataType:
        return self._kinds.get(name) or (pa.int64() if table.is_integer(name) else pa.float64())

    def _faults(self, values: Sequence[str], kind: pa.DataType, name: str) -> Iterator[InvalidColumnError]:
        """Yield what is wrong with the values of a column, a fault for each kind of them."""
        is_label = name in self._kinds
        missing = self._missing if is_label else _MISSING
        rows: dict[str, list[int]] = {}
        misfits = {
            row
            for row, value in enumerate(values)
            if kind != pa.string() and value.lower() not in missing and not _fits(value, kind)
        }
        are_few = 2 * len(misfits) < len(values)
        for row, value in enumerate(values):
            if value.lower() in missing:
                given = ", or add their name to spec.data.classes" if value else ""
                rows.setdefault(f"leave those rows out{given}" if is_label else FILL_IN, []).append(row)
            elif row in misfits:
                rows.setdefault(_remedy(value, kind, are_few=are_few), []).append(row)
        for remedy, found in rows.items():
            first = values[found[0]]
            if first.lower() in missing:
                text = f" ('{first}')" if first else ""
                problem = f"has {_number(found, 'missing value')}{text}"
            else:
                wanted = "an integer" if pa.types.is_integer(kind) else "a number"
                more = f", and {_number(found[1:], 'more such value')}" if len(found) > 1 else ""
                problem = f"holds '{first[:40]}', which is not {wanted}{more}"
            yield InvalidColumnError(f"column '{name}' {problem}; {remedy}", found[0])


@contextmanager
def _named(file: Path, table: TableFiles) -> Iterator[None]:
    """Name the file in the errors of the block."""
    try:
        yield
    except (InvalidColumnError, InvalidColumnsError) as error:
        faults = error.faults if isinstance(error, InvalidColumnsError) else (error,)
        raise InputError(
            *(
                Violation(table.field, f"holds '{file}', whose {_located(each, file, table)}")
                for each in faults
            )
        ) from error
    except (pa.ArrowException, DamagedFileError) as error:
        reason = str(error).splitlines()[0]
        if isinstance(error.__cause__, UnicodeDecodeError) or "UTF8" in reason:
            reason = "its text is not UTF-8; save it with this encoding"
        raise InputError.at(
            table.field, f"holds '{file}', which is not a valid CSV file ({reason})"
        ) from error


def _located(fault: InvalidColumnError, file: Path, table: TableFiles) -> str:
    """Return the message of a fault with the line of the file in which the first such value is."""
    if fault.row is None:
        return str(fault)
    delimiter, _ = _header(file, table)
    try:
        return f"{fault} (line {_line(file, delimiter, fault.row)})"
    except csv.Error:  # a value of more than 128 KiB, which Arrow can read
        return fault.located(0)


def _line(file: Path, delimiter: str, row: int) -> int:
    """Return the line in which a row of a file begins, counted from 1; values may have several lines."""
    with (
        pa.input_stream(str(file), compression="detect") as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines,
    ):
        return next(islice(_first_lines(lines, delimiter), row + 1, None))


def _first_lines(lines: Iterable[str], delimiter: str) -> Iterator[int]:
    """Yield the line in which the header and each row begin; lines without a value are no rows."""
    reader, end = csv.reader(lines, delimiter=delimiter), 0
    for values in reader:
        if values:
            yield end + 1
        end = reader.line_num


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


def _kind(column: pa.ChunkedArray) -> pa.DataType:
    """Return the type of a column of labels."""
    return next(kind for kind in _KINDS if _cast(column, kind) is not None)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array | None:
    """Return a column of another type; None if a value does not fit it."""
    try:
        return column.cast(kind).combine_chunks()
    except pa.ArrowInvalid:
        return None


def _has_missing(values: pa.Array, missing: Set[str]) -> bool:
    if pa.types.is_floating(values.type):
        return bool(pc.any(pc.is_nan(values)).as_py())
    if not pa.types.is_string(values.type):
        return False
    return any(value.lower() in missing for value in values.unique().to_pylist())


def _remedy(value: str, kind: pa.DataType, *, are_few: bool) -> str:
    """Return what to do about a value of another type, of which the column may have only few."""
    if pa.types.is_integer(kind) and _fits(value, pa.float64()):
        return "write integers, or leave out type: Integer"
    if _LOCAL_NUMBER.fullmatch(value):
        return "write numbers with a decimal point and nothing between thousands, such as 1234.5"
    if are_few:
        return "correct it, or leave out that row or the column"
    return "replace categories by a column of 0 and 1 for each, or, for an Embedding, by their numbers"


_LOCAL_NUMBER: Final = re.compile(r"[-+]?\d[\d.,'\s]*%?")
"""Numbers as people and spreadsheets write them."""


def _number(rows: Sequence[int], noun: str) -> str:
    return f"{len(rows):,} {noun}" + ("" if len(rows) == 1 else "s")


def _fits(value: str, kind: pa.DataType) -> bool:
    try:
        pa.scalar(value).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
