"""What the data at their places contain: samples of each client, shapes and labels."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from pslgs.data.client_paths import path_of_client
from pslgs.data.discovery import matching_files
from pslgs.data.doubtful_classes import doubtful_classes
from pslgs.data.loading import for_client, open_source
from pslgs.data.samples import SampleForm
from pslgs.data.source import Source
from pslgs.drafting.places import DATA, TABLES, Places
from pslgs.drafting.tables import ColumnKind, Columns, choose_columns, columns_of, token_counts
from pslgs.model_inputs import Shape, tensors_of
from pslgs.spec.data import DataFormat, DataSource
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.inputs import InputType, Layout

_LOOKED_AT: Final = 8
"""Number of samples of each client whose shape is looked at."""
_MOST_CLASSES: Final = 100
"""Number of different integers up to which labels are taken for classes."""
LARGE_LABEL: Final = 10.0
"""Absolute value of labels of a regression above which a network learns them slowly."""
_CHANNELS: Final = (1, 3, 4)


class SampleKind(StrEnum):
    """What samples are."""

    IMAGE = "images"
    SERIES = "series over time"
    FEATURES = "numbers"
    TOKENS = "lists of tokens"


@dataclass(frozen=True, slots=True)
class Site:
    """The training data of a client, or of all clients if they are the same.

    Attributes:
        client: Id of the client; empty if the data are the same for all.
        samples: Number of samples.
        classes: Class -> number of its samples; empty if labels are no classes.
    """

    client: str
    samples: int
    classes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Contents:
    """What the training data contain.

    Attributes:
        kind: What a sample is.
        shape: Shape of the first sample.
        shapes: Number of different shapes among the samples that were looked at.
        sites: The clients' data.
        classes: Names of the classes, or their numbers if they have none; empty if labels are values.
        has_names: Whether the classes have names.
        targets: Number of values of a label that is no class.
        largest_label: Largest absolute value of such labels.
        layout: Order of the dimensions, where it has to be declared.
        columns: The columns of a table.
        tokens: Number of different tokens; 0 unless samples are tokens.
        length: Length of the longest sample of tokens.
    """

    kind: SampleKind
    shape: Shape
    shapes: int
    sites: tuple[Site, ...]
    classes: tuple[str, ...] = ()
    has_names: bool = False
    targets: int = 1
    largest_label: float = 0.0
    layout: Layout | None = None
    columns: Columns | None = None
    tokens: int = 0
    length: int = 0

    @property
    def samples(self) -> int:
        """Number of samples of all clients."""
        return sum(site.samples for site in self.sites)

    def remarks(self) -> Iterator[str]:
        """Yield what in the labels needs a look before a training."""
        yield from doubtful_classes(site.classes for site in self.sites)
        if self.largest_label > LARGE_LABEL:
            yield (
                f"labels are not scaled, and go up to {self.largest_label:,.6g}: divide them in the data so "
                "that most are between -1 and 1, or the network learns very slowly"
            )


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """Columns that the user names; see `choose_columns`."""

    label: str | None = None
    inputs: Sequence[str] = field(default_factory=tuple)


def table_columns(places: Places) -> dict[str, ColumnKind] | None:
    """Return the columns of the first file of a table; None if the data are none.

    Raises:
        InputError: no file can be read.
    """
    if places.format not in TABLES:
        return None
    return columns_of(_files(places, (places.clients or ("",))[0])[0], places.format)


def look_at(places: Places, cache: Path, choice: ColumnChoice | None = None) -> Contents:
    """Open the training data of all clients as a job does, and look at their labels and some samples.

    Args:
        places: Where the data are.
        cache: Folder for converted tables.
        choice: Columns of a table that the user names.

    Raises:
        InputError: the data are damaged, or a job could not read them.
    """
    choice = choice or ColumnChoice()
    found = table_columns(places)
    columns = None if found is None else choose_columns(found, choice.label, choice.inputs)
    tokens, length = 0, 0
    if columns is not None and columns.kind is ColumnKind.INTEGER_LISTS:
        files = [file for client in places.clients or ("",) for file in _files(places, client)]
        tokens, length = token_counts(files, columns.inputs[0])
    form = SampleForm(input_type=InputType.INTEGER, length=length) if tokens else SampleForm()
    source = train_source(places, columns)
    opened = {client: _opened(places, source, client, cache, form) for client in places.clients or ("",)}
    shapes = [shape for each in opened.values() for shape in _shapes(each)]
    kind, layout = (SampleKind.TOKENS, None) if tokens else _kind(shapes[0], places.format, columns, opened)
    labels = _Labels.of([*opened.values()])
    return Contents(
        kind=kind,
        shape=shapes[0],
        shapes=len(set(shapes)),
        sites=tuple(Site(client, len(each), labels.counts(each)) for client, each in opened.items()),
        classes=labels.classes,
        has_names=labels.has_names,
        targets=labels.targets,
        largest_label=labels.largest,
        layout=layout,
        columns=columns,
        tokens=tokens,
        length=length,
    )


def _opened(places: Places, source: DataSource, client: str, cache: Path, form: SampleForm) -> Source:
    try:
        return open_source(for_client(source, client), DATA, cache, form)
    except InputError as error:
        raise InputError(*(Violation(places.train, each.problem) for each in error.violations)) from error


def train_source(places: Places, columns: Columns | None) -> DataSource:
    """Return the training data as in a manifest."""
    fields: dict[str, object] = {"format": places.format, "path": places.train}
    if columns is not None:
        fields |= column_fields(columns, places.format)
    return DataSource.model_validate(fields, by_alias=True, by_name=False)


def column_fields(columns: Columns, kind: DataFormat) -> dict[str, object]:
    """Return the fields of a data source that name its columns."""
    single = (
        columns.kind is not ColumnKind.NUMBERS and kind is DataFormat.PARQUET and len(columns.inputs) == 1
    )
    inputs = {"inputColumn": columns.inputs[0]} if single else {"inputColumns": list(columns.inputs)}
    return {**inputs, "labelColumn": columns.label}


def _files(places: Places, client: str) -> list[Path]:
    return matching_files(path_of_client(places.train, client), DATA)[0]


def _shapes(source: Source) -> Iterator[Shape]:
    """Yield the shapes of some samples."""
    for index in np.linspace(0, len(source) - 1, min(_LOOKED_AT, len(source)), dtype=int).tolist():
        yield tuple(tensors_of(source.load(index))[0].shape)


def _kind(
    shape: Shape, place: DataFormat, columns: Columns | None, opened: Mapping[str, Source]
) -> tuple[SampleKind, Layout | None]:
    """Return what a sample is, by its shape and type, and the layout that has to be declared."""
    source = next(iter(opened.values()))
    is_scaled = str(tensors_of(source.load(0))[0].dtype) == "torch.uint8"
    if place is DataFormat.IMAGE_FOLDER or is_scaled or (columns and columns.kind is ColumnKind.IMAGES):
        return (SampleKind.IMAGE, None) if len(shape) == 3 else (SampleKind.FEATURES, None)
    if len(shape) == 3 and (shape[0] in _CHANNELS) != (shape[-1] in _CHANNELS):
        return SampleKind.IMAGE, Layout.CHW if shape[0] in _CHANNELS else Layout.HWC
    if len(shape) == 2 and shape[0] != shape[1]:
        return SampleKind.SERIES, Layout.CT if shape[0] < shape[1] else Layout.TC
    return SampleKind.FEATURES, None


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels of all clients together."""

    classes: tuple[str, ...] = ()
    has_names: bool = False
    targets: int = 1
    largest: float = 0.0

    @classmethod
    def of(cls, sources: Sequence[Source]) -> "_Labels":
        """Decide whether labels are classes, by their names and values."""
        named = [source.class_names for source in sources if source.class_names]
        if named:
            return cls(tuple(sorted({name for names in named for name in names})), has_names=True)
        labels = [np.asarray(source.labels) for source in sources]
        largest = max(float(np.abs(each).max(initial=0)) for each in labels)
        if any(each.ndim == 2 for each in labels):
            return cls(targets=labels[0].shape[1], largest=largest)
        values = np.unique(np.concatenate(labels))
        whole = bool((values == np.round(values)).all())
        if (
            not whole
            or values[0] < 0
            or values[-1] >= _MOST_CLASSES
            or (values.dtype.kind == "f" and len(values) > 2)
        ):
            return cls(largest=largest)
        return cls(tuple(map(str, range(int(values[-1]) + 1))))

    def counts(self, source: Source) -> dict[str, int]:
        """Count the samples of each class of a source; empty if labels are no classes."""
        if not self.classes:
            return {}
        names = source.class_names if self.has_names else self.classes
        if names is None:
            raise InputError.at(
                DATA, "holds names of classes at some clients and numbers at others; use one of both"
            )
        numbers = Counter(np.asarray(source.labels).astype(int).tolist())
        return {names[number]: count for number, count in sorted(numbers.items())}
