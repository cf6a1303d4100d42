"""The columns of a table: what they hold, and which of them may be inputs and labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.data.csv_files import headers_of
from pslgs.data.input_columns import holds_numbers, is_list
from pslgs.drafting.places import DATA
from pslgs.spec.data import DataFormat
from pslgs.spec.errors import InputError


class ColumnKind(StrEnum):
    """What a column holds."""

    NUMBERS = "numbers"
    TEXT = "text"
    IMAGES = "images"
    LISTS = "lists of numbers"
    INTEGER_LISTS = "lists of integers"
    OTHER = "other"


_LABELS: Final = (
    "label",
    "labels",
    "class",
    "target",
    "y",
    "outcome",
    "diagnosis",
    "category",
    "topic",
    "state",
)
"""Names of label columns, in lower case; the first that a table has is suggested."""
_IDENTIFIERS: Final = frozenset({"", "id", "index", "unnamed: 0", "__index_level_0__"})
_SAMPLES: Final = (ColumnKind.IMAGES, ColumnKind.LISTS, ColumnKind.INTEGER_LISTS)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table that a job reads.

    Attributes:
        label: The column of labels.
        inputs: The columns of inputs: one of samples, or columns of numbers.
        kind: What the inputs hold.
        unused: The other columns.
        texts: Those of them that could not be inputs beside columns of numbers, because they hold texts.
    """

    label: str
    inputs: tuple[str, ...]
    kind: ColumnKind
    unused: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def columns_of(file: Path, kind: DataFormat) -> dict[str, ColumnKind]:
    """Return the columns of a Parquet or CSV file; those of a CSV file are judged by its first rows.

    A column of a CSV file of which most cells are numbers counts as one of numbers, so that the others are
    errors which opening the file names, and the column is not left out for them.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return _csv_columns(file) if kind is DataFormat.CSV else _parquet_columns(file)
    except (DamagedFileError, OSError) as error:
        raise InputError.at(str(file), f"cannot be read ({error})") from error


def choose_columns(
    found: Mapping[str, ColumnKind], label: str | None = None, inputs: Sequence[str] = ()
) -> Columns:
    """Choose the columns of labels and inputs.

    Args:
        found: The columns of a table.
        label: The column of labels; None to suggest one by its name, or else the last one that may be one.
        inputs: The columns of inputs; empty to suggest one of samples, or else all columns of numbers.

    Raises:
        InputError: the table lacks a column, or has none that may be the label or an input.
    """
    for option, name in [("--label", label), *(("--inputs", name) for name in inputs)]:
        if name is not None and name not in found:
            raise InputError.at(option, f"names '{name}', but the columns are {', '.join(found)}")
    if label is None:
        label = _suggested_label(found)
    if not inputs:
        inputs = _suggested_inputs(found, label)
    kind, unused = found[inputs[0]], [name for name in found if name != label and name not in inputs]
    texts = [name for name in unused if found[name] is ColumnKind.TEXT and not _is_identifier(name)]
    return Columns(
        label, tuple(inputs), kind, tuple(unused), tuple(texts) if kind is ColumnKind.NUMBERS else ()
    )


def token_counts(files: Iterable[Path], column: str) -> tuple[int, int]:
    """Return the number of different tokens, 0 included, and the largest length of a column of integer lists.

    Raises:
        InputError: the files cannot be read.
    """
    largest, length = 0, 0
    for file in files:
        try:
            with read_by_library():
                lists = pq.read_table(file, columns=[column]).column(column)
                largest = max(largest, pc.max(pc.list_flatten(lists)).as_py() or 0)
                length = max(length, pc.max(pc.list_value_length(lists)).as_py() or 0)
        except DamagedFileError as error:
            raise InputError.at(str(file), f"cannot be read ({error})") from error
    return largest + 1, length


def _suggested_label(found: Mapping[str, ColumnKind]) -> str:
    possible = [name for name, kind in found.items() if kind in {ColumnKind.NUMBERS, ColumnKind.TEXT}]
    if not possible:
        raise InputError.at(DATA, f"holds tables without a column of labels ({', '.join(found)})")
    by_name = {name.lower(): name for name in reversed(possible)}
    return next((by_name[name] for name in _LABELS if name in by_name), possible[-1])


def _suggested_inputs(found: Mapping[str, ColumnKind], label: str) -> tuple[str, ...]:
    others = {name: kind for name, kind in found.items() if name != label}
    for samples in _SAMPLES:
        columns = [name for name, kind in others.items() if kind is samples]
        if columns:
            return (columns[0],)
    numbers = tuple(
        name for name, kind in others.items() if kind is ColumnKind.NUMBERS and not _is_identifier(name)
    )
    if not numbers:
        raise InputError.at(
            DATA, f"holds tables without a column of inputs beside '{label}' ({', '.join(found)})"
        )
    return numbers


def _is_identifier(name: str) -> bool:
    return name.lower() in _IDENTIFIERS or name.lower().endswith("_id")


def _kind(kind: pa.DataType) -> ColumnKind:
    if holds_numbers(kind):
        return ColumnKind.NUMBERS
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return ColumnKind.TEXT
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return ColumnKind.IMAGES
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return ColumnKind.IMAGES
    if is_list(kind):
        return ColumnKind.INTEGER_LISTS if pa.types.is_integer(kind.value_type) else ColumnKind.LISTS
    return ColumnKind.LISTS if isinstance(kind, pa.FixedShapeTensorType) else ColumnKind.OTHER


def _parquet_columns(file: Path) -> dict[str, ColumnKind]:
    with read_by_library():
        return {field.name.strip(): _kind(field.type) for field in pq.read_schema(file)}


def _csv_columns(file: Path) -> dict[str, ColumnKind]:
    headers = headers_of(file)
    delimiter = max(headers, key=lambda each: len(headers[each]))
    options = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with read_by_library(), arrow_csv.open_csv(file, parse_options=options) as rows:
        first = next(iter(rows), pa.RecordBatch.from_pylist([], schema=rows.schema))
    columns = {name.strip(): first.column(index) for index, name in enumerate(first.schema.names)}
    return {
        name: ColumnKind.NUMBERS if _are_mostly_numbers(column) else _kind(column.type)
        for name, column in columns.items()
    }


_NUMBER: Final = r"^\s*[-+]?(\d+|\d{1,3}([.,' ]\d{3})+|[.,]\d+)([.,]\d*)?([eE][-+]?\d+)?\s*%?\s*$"
"""Numbers as people and spreadsheets write them, but no dates."""


def _are_mostly_numbers(column: pa.Array) -> bool:
    if not pa.types.is_string(column.type):
        return False
    numbers: int = pc.sum(pc.match_substring_regex(column, _NUMBER)).as_py() or 0
    return 2 * numbers > len(column)
