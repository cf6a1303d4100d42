"""Samples in Parquet files: the schema of the hubs' image datasets, or rows of numbers."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from pslgs.data.arrow_cache import ParquetFiles, open_converted
from pslgs.data.files import matching_files
from pslgs.data.images import decode
from pslgs.data.source import Labels, checked_labels
from pslgs.spec.errors import InputError
from pslgs.spec.source import DataSource


class ParquetSource:
    """Rows of a memory-mapped table; one row is decoded at a time, and none is kept."""

    def __init__(self, table: pa.Table, class_names: tuple[str, ...] | None, field: str) -> None:
        self.labels = checked_labels(_to_numpy(table.column("label")), field)
        self.class_names = class_names
        self._chunks = table.column("input").chunks
        self._starts = np.cumsum([0, *map(len, self._chunks)])
        self._images = not pa.types.is_fixed_size_list(table.schema.field("input").type)
        self._field = field

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Tensor:
        """Read one row: a uint8 image (3, height, width), or float32 features (features,).

        Raises:
            InputError: the image is damaged.
        """
        chunk = int(np.searchsorted(self._starts, index, side="right")) - 1
        value = self._chunks[chunk][index - int(self._starts[chunk])]
        if not self._images:
            return torch.from_numpy(np.array(value.values, dtype=np.float32))
        try:
            return decode(value.as_py())
        except ValueError as error:
            raise InputError.at(self._field, f"has a damaged image in row {index}: {error}") from error


def open_parquet(source: DataSource, field: str, cache: Path) -> ParquetSource:
    """Open the Parquet files that ``source.path`` matches, in sorted order.

    Raises:
        InputError: no file, a damaged one, a missing column or one of a wrong type.
    """
    files = tuple(matching_files(source.path or "", f"{field}.path"))
    table = open_converted(ParquetFiles(files, source.input_column, source.label_column, field), cache)
    names = (
        tuple(source.classes) if source.classes else _stored_class_names(table.schema, source.label_column)
    )
    return ParquetSource(table, names, field)


def _to_numpy(column: pa.ChunkedArray) -> Labels:
    if not pa.types.is_fixed_size_list(column.type):
        flat: Labels = column.to_numpy()
        return flat
    rows: Labels = column.combine_chunks().flatten().to_numpy()
    return rows.reshape(len(column), -1)


def _stored_class_names(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    # The hub's writers keep {"info": {"features": {"label": {"names": […]}}}} beside the Arrow schema.
    stored = (schema.metadata or {}).get(b"huggingface")
    if stored is None:
        return None
    try:
        names = json.loads(stored)["info"]["features"][label_column]["names"]
    except (ValueError, LookupError, TypeError):
        return None
    return tuple(map(str, names))
