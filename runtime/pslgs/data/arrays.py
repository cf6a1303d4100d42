"""Samples in arrays: NumPy files, scikit-learn's small datasets."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.data.source import checked_labels
from pslgs.spec.errors import InputError
from pslgs.spec.source import DataSource

CHANNELS = {1, 3, 4}


class ArraySource:
    """An array of samples, possibly memory-mapped, and its labels."""

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
        """Copy one sample: uint8 stays as it is, everything else becomes float32; channels come first."""
        return torch.from_numpy(as_sample(self._inputs[index]))


def as_sample(values: NDArray[Any]) -> NDArray[Any]:
    """Copy a sample with its channels first; uint8 of 2 or 3 dimensions is an image, all else float32.

    If the last of three dimensions, and not the first, is 1, 3 or 4 long, the sample has its channels last.
    """
    is_image = values.dtype == np.uint8 and values.ndim in {2, 3}
    sample = np.array(values, dtype=np.uint8 if is_image else np.float32)
    if is_image and sample.ndim == 2:
        return sample[None]
    if sample.ndim == 3 and sample.shape[-1] in CHANNELS and sample.shape[0] not in CHANNELS:
        return np.ascontiguousarray(np.moveaxis(sample, -1, 0))
    return sample


def open_numpy(source: DataSource, field: str) -> ArraySource:
    """Open arrays ``x`` and ``y``: an .npz file, or a folder with x.npy and y.npy (memory-mapped).

    Raises:
        InputError: a file is missing or damaged, or an array has another name or no fitting shape.
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
        raise InputError.at(field, f"names '{path}', which is no readable .npy file ({error})") from error
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
        raise InputError.at(field, f"names '{path}', which is no readable .npz file ({error})") from error
