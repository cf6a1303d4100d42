"""The inputs of a converted table, whose rows are decoded on access."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from pslgs.data.decoding import decode
from pslgs.data.input_columns import shape_in
from pslgs.data.samples import SampleForm
from pslgs.model_inputs import Inputs


class StoredInput:
    """A column of image files or of numbers.

    Attributes:
        chunks: The parts of the column, which all inputs of a table have alike.

    Args:
        table: The converted table.
        name: Name of the input; empty for the only one.
        form: What the manifest says of it.
    """

    def __init__(self, table: pa.Table, name: str, form: SampleForm) -> None:
        column = column_of(name)
        self.chunks: list[Any] = table.column(column).chunks
        self._images = not pa.types.is_fixed_size_list(table.schema.field(column).type)
        self._shape = shape_in(table.schema.metadata, name)
        self._form = form

    def load(self, chunk: int, row: int) -> Tensor:
        """Decode the input in a row of a chunk.

        Raises:
            ValueError: the image is damaged.
            InputError: an array does not fit the declared layout.
        """
        value = self.chunks[chunk][row]
        if self._images:
            return decode(value.as_py(), self._form.value_range)
        return self._form.sample(np.asarray(value.values).reshape(self._shape))


def stored_inputs(table: pa.Table, form: SampleForm) -> dict[str, StoredInput]:
    """Return the inputs of a converted table by name; the only one has the name ``""``."""
    return {name: StoredInput(table, name, each) for name, each in forms_of(form).items()}


def load_row(inputs: Mapping[str, StoredInput], chunk: int, row: int) -> Inputs:
    """Decode a row: its only input, or name -> input.

    Raises:
        ValueError: an image is damaged.
        InputError: an array does not fit the declared layout.
    """
    loaded = {name: each.load(chunk, row) for name, each in inputs.items()}
    return loaded.get("", loaded)


def forms_of(form: SampleForm) -> Mapping[str, SampleForm]:
    """Return name -> form of each input; the only one has the name ``""``."""
    return form.named or {"": form}


def column_of(name: str) -> str:
    """Return the column of a converted table with the input of a name, or with the only one."""
    return f"input {name}" if name else "input"
