"""Predictions of a trained model for files of samples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.data.csv_files import CsvReader
from pslgs.data.decoding import decode, from_pillow, read_image
from pslgs.data.discovery import unwanted
from pslgs.data.image_files import is_image
from pslgs.data.parquet import TableFiles, parquet_batches, samples_of
from pslgs.data.samples import SampleForm
from pslgs.inference.trained_model import TrainedModel
from pslgs.model_inputs import Inputs, call, converted, shape_of
from pslgs.spec.data import DataFormat
from pslgs.spec.errors import InputError
from pslgs.training.description import ModelDescription, OutputKind, Preprocessing

BATCH_SIZE: Final = 64
_ARRAYS: Final = (".npy", ".npz")
_TABLES: Final = {
    ".csv": DataFormat.CSV,
    ".tsv": DataFormat.CSV,
    ".parquet": DataFormat.PARQUET,
    ".pq": DataFormat.PARQUET,
}
_DECODED_TO_THREE_CHANNELS: Final = (DataFormat.IMAGE_FOLDER, DataFormat.PARQUET)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one sample.

    Attributes:
        sample: The file, with the row, from 0, after a colon for a file of several samples.
        classes: The predicted class, or the labels whose probability is above 0.5; empty for values.
        probabilities: Name -> probability; empty for values.
        values: The outputs of a regression; empty for classes.
    """

    sample: str
    classes: tuple[str, ...]
    probabilities: Mapping[str, float]
    values: tuple[float, ...] = ()


def sample_files(paths: Iterable[Path], *, tables: bool = False) -> list[Path]:
    """Return the files that ``paths`` name: files themselves, and files of samples in folders at any depth.

    Args:
        paths: Files and folders.
        tables: Whether samples in folders are rows of CSV and Parquet files, as far as there are such, or
            else images and arrays.

    Raises:
        InputError: a path does not exist, or a folder holds no such files.
    """
    files: list[Path] = []
    for path in paths:
        found = [path] if path.is_file() else _in_folder(path, tables=tables)
        if not found:
            kinds = "CSV, Parquet, .npy, .npz nor image" if tables else "images nor .npy or .npz"
            reason = f"holds neither {kinds} files" if path.is_dir() else "does not exist"
            raise InputError.at(str(path), f"{reason}; name the files to predict")
        files += found
    return files


def predict_files(model: TrainedModel, files: Iterable[Path]) -> Iterator[Prediction]:
    """Predict samples, which are decoded and transformed as in an evaluation of the training.

    An .npy file, or the array ``x`` of an .npz file, has one sample in each row.  For a model with several
    inputs, an .npz file has an array for each of them, by its name.  A CSV or Parquet file has the input
    columns of the training data, and its other columns are not read.

    Raises:
        InputError: a file cannot be decoded, or its samples do not fit the model.
    """
    samples = (named for file in files for named in _samples_in(file, model.description.preprocessing))
    while batch := list(islice(samples, BATCH_SIZE)):
        names = [name for name, _ in batch]
        yield from interpret(
            outputs_of(model, [sample for _, sample in batch], names[0]), names, model.description
        )


@torch.no_grad()
def outputs_of(model: TrainedModel, samples: Sequence[Inputs], name: str = "") -> Tensor:
    """Return the outputs for decoded samples, which are transformed first; shape (samples, *output_shape).

    Args:
        model: The model.
        samples: Decoded samples.
        name: Name of the first one, for error messages.

    Raises:
        InputError: a sample cannot be transformed, or has another shape than the model's inputs.
    """
    description = model.description
    pipeline = description.preprocessing.pipeline()
    inputs = pipeline.collate([pipeline.transform(sample) for sample in samples])
    if shape_of(inputs) != description.input_shape:
        problem = f"gives inputs of shape {shape_of(inputs)}, but the model takes {description.input_shape}"
        raise InputError.at(name, problem)
    scaling = description.preprocessing.scaling(description.input_shape)
    if scaling is not None:
        inputs = scaling(inputs)
    integer = isinstance(inputs, Tensor) and not inputs.is_floating_point()
    outputs: Tensor = call(model, inputs if integer else converted(inputs, next(model.parameters()).dtype))
    return outputs


def interpret(outputs: Tensor, names: Sequence[str], description: ModelDescription) -> list[Prediction]:
    """Turn outputs into classes with probabilities, or into values.

    Args:
        outputs: Shape (samples, *output_shape).
        names: Name of each sample.
        description: What the outputs mean.
    """
    rows = outputs.double().flatten(1)
    if description.outputs is OutputKind.VALUES:
        return [Prediction(name, (), {}, tuple(row)) for name, row in zip(names, rows.tolist(), strict=True)]
    chances = rows.softmax(dim=1) if description.outputs is OutputKind.CLASSES else rows.sigmoid()
    binary = description.outputs is OutputKind.LABELS and rows.shape[1] == 1
    if binary:
        chances = torch.cat([1 - chances, chances], dim=1)
    several = description.outputs is OutputKind.LABELS and not binary
    classes = [description.class_name(number) for number in range(chances.shape[1])]
    found: list[Prediction] = []
    for name, row in zip(names, chances.tolist(), strict=True):
        chosen = [each for each, chance in zip(classes, row, strict=True) if chance > 0.5]
        best = [classes[row.index(max(row))]]
        found.append(
            Prediction(name, tuple(chosen if several else best), dict(zip(classes, row, strict=True)))
        )
    return found


def _in_folder(folder: Path, *, tables: bool) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    visible = (path for path in files if not any(map(unwanted, path.relative_to(folder).parts)))
    visible_files = sorted(visible)
    rows = [path for path in visible_files if tables and _table_format(path) is not None]
    return rows or [path for path in visible_files if path.suffix.lower() in _ARRAYS or is_image(path)]


def _samples_in(file: Path, preprocessing: Preprocessing) -> Iterator[tuple[str, Inputs]]:
    form = preprocessing.form()
    if (kind := _table_format(file)) is not None:
        rows = samples_of(file, _table(file, kind, preprocessing, form))
        yield from ((f"{file}:{number}", row) for number, row in enumerate(rows))
    elif form.named:
        yield from _named_samples(file, form)
    elif file.suffix.lower() in _ARRAYS:
        for number, row in enumerate(_rows(file)):
            yield f"{file}:{number}", form.sample(row)
    else:
        yield str(file), _image(file, preprocessing)


def _named_samples(file: Path, form: SampleForm) -> Iterator[tuple[str, Inputs]]:
    """Yield the samples of an .npz file with an array for each input of the model."""
    names = ", ".join(form.named)
    if file.suffix.lower() != ".npz":
        raise InputError.at(
            str(file), f"holds one input, but the model takes {names}; give .npz files with these arrays"
        )
    arrays = {name: _rows(file, name) for name in form.named}
    counts = {name: len(rows) for name, rows in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise InputError.at(
            str(file), f"has different numbers of rows ({listed}); give a row for each sample"
        )
    for number in range(next(iter(counts.values()))):
        yield (
            f"{file}:{number}",
            {name: each.sample(arrays[name][number]) for name, each in form.named.items()},
        )


def _table_format(file: Path) -> DataFormat | None:
    """Return the format of a table by its name; None for other files."""
    suffix = Path(file.stem).suffix if file.suffix.lower() == ".gz" else file.suffix
    return _TABLES.get(suffix.lower())


def _table(file: Path, kind: DataFormat, preprocessing: Preprocessing, form: SampleForm) -> TableFiles:
    columns = preprocessing.columns
    if not columns:
        raise InputError.at(
            str(file),
            f"is a table, but the model was trained on data of the format {preprocessing.format}, whose "
            "samples have no columns; give images, .npy or .npz files",
        )
    read = CsvReader(()) if kind is DataFormat.CSV else parquet_batches
    stacked = bool(preprocessing.input_columns) or bool(form.named)
    return TableFiles((file,), columns, (), "spec.data.train", read, form, is_stacked=stacked)


def _rows(file: Path, name: str = "x") -> np.ndarray:
    try:
        with read_by_library():
            loaded = np.load(file, allow_pickle=False)
            rows = loaded if isinstance(loaded, np.ndarray) else loaded[name]
    except DamagedFileError as error:
        raise InputError.at(str(file), f"cannot be read as an array of samples ({error})") from error
    if rows.ndim < 2 or rows.dtype.kind not in "buif":
        raise InputError.at(
            str(file),
            f"has the shape {rows.shape} and type {rows.dtype}; give an array with a sample in each row",
        )
    return rows


def _image(file: Path, preprocessing: Preprocessing) -> Tensor:
    try:
        content = file.read_bytes()
        if preprocessing.format in _DECODED_TO_THREE_CHANNELS:
            return decode(content, preprocessing.value_range)
        return from_pillow(read_image(content), preprocessing.value_range)
    except (ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        problem = f"cannot be decoded as an image ({error}); give images, .npy, .npz, CSV or Parquet files"
        raise InputError.at(str(file), problem) from error
