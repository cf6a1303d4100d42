"""Datasets in Parquet files: images in the Hugging Face schema, or rows of numbers."""

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
    """A source over a memory-mapped table, whose rows are decoded on access.

    Attributes:
        labels: The label of each row.
        class_names: The name of each class, or None where they are unknown.
    """

    is_thread_safe = True

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
        """Decode one row: a uint8 image of shape (3, height, width), or float32 features (features,).

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
    """Open the Parquet files that match ``source.path``, in the order of their names.

    Raises:
        InputError: no file matches, a file is damaged, or a column is missing or has a wrong type.
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
    # Hugging Face stores {"info": {"features": {"label": {"names": […]}}}} in the schema's metadata.
    stored = (schema.metadata or {}).get(b"huggingface")
    if stored is None:
        return None
    try:
        names = json.loads(stored)["info"]["features"][label_column]["names"]
    except (ValueError, LookupError, TypeError):
        return None
    return tuple(map(str, names))
