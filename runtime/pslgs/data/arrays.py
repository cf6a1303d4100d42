"""Samples in NumPy arrays, and the opening of .npy and .npz files."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.data.source import checked_labels
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError

CHANNELS = {1, 3, 4}


class ArraySource:
    """A source over an array of samples, which may be memory-mapped, and its labels.

    Attributes:
        labels: The label of each sample.
        class_names: The name of each class, or None where they are unknown.

    Raises:
        InputError: samples and labels differ in number, or samples are not rows of numbers.
    """

    is_thread_safe = True

    def __init__(
        self, inputs: NDArray[Any], labels: NDArray[Any], class_names: tuple[str, ...] | None, field: str
    ) -> None:
        if len(inputs) != len(labels):
            raise InputError.at(
                field, f"has {len(inputs)} samples but {len(labels)} labels; one of them is damaged"
            )
        if inputs.dtype.kind not in "buif" or inputs.ndim < 2:
            raise InputError.at(
                field,
                f"has samples of type {inputs.dtype} and shape {inputs.shape}; they must be rows of numbers",
            )
        self.labels = checked_labels(labels, field)
        self.class_names = class_names
        self._inputs = inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def load(self, index: int) -> Tensor:
        """Return a copy of one sample in the form of `as_sample`."""
        return torch.from_numpy(as_sample(self._inputs[index]))


def as_sample(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a sample: uint8 images stay uint8, all else becomes float32; channels come first.

    A uint8 sample of 2 or 3 dimensions is an image; one of 2 dimensions gets a channel dimension.  If the
    last of three dimensions, and not the first, has the size 1, 3 or 4, it is taken for the channels and
    moved to the front.
    """
    is_image = values.dtype == np.uint8 and values.ndim in {2, 3}
    sample = np.array(values, dtype=np.uint8 if is_image else np.float32)
    if is_image and sample.ndim == 2:
        return sample[None]
    if sample.ndim == 3 and sample.shape[-1] in CHANNELS and sample.shape[0] not in CHANNELS:
        return np.ascontiguousarray(np.moveaxis(sample, -1, 0))
    return sample


def open_numpy(source: DataSource, field: str) -> ArraySource:
    """Open the arrays ``x`` (samples) and ``y`` (labels) of an .npz file or of a folder with x.npy and y.npy.

    The .npy files of a folder are memory-mapped; an .npz file is read as a whole.

    Raises:
        InputError: a file is missing or damaged, or an array has a wrong name, type or shape.
    """
    path = Path(source.path or "").expanduser()
    if path.is_dir():
        inputs, labels = (_load_array(path / name, f"{field}.path") for name in ("x.npy", "y.npy"))
    elif path.is_file():
        inputs, labels = _load_archive(path, f"{field}.path")
    else:
        raise InputError.at(
            f"{field}.path", f"is '{path}', which does not exist; is the data volume mounted there?"
        )
    return ArraySource(inputs, labels, tuple(source.classes) if source.classes else None, field)


def _load_array(path: Path, field: str) -> NDArray[Any]:
    if not path.is_file():
        raise InputError.at(field, f"lacks the file '{path}'; a folder of arrays holds x.npy and y.npy")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError.at(field, f"names '{path}', which is not a valid .npy file ({error})") from error
    return array


def _load_archive(path: Path, field: str) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = {"x", "y"} - set(archive.files)
            if missing:
                listed = ", ".join(archive.files) or "none"
                raise InputError.at(
                    field, f"names '{path}', which must hold the arrays x and y; it holds {listed}"
                )
            return archive["x"], archive["y"]
    except InputError:
        raise
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError.at(field, f"names '{path}', which is not a valid .npz file ({error})") from error
