"""Samples in NumPy arrays, and the opening of .npy and .npz files."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.data.discovery import what_is_missing
from pslgs.data.inflation import memory_bytes
from pslgs.data.left_out import LeftOut
from pslgs.data.samples import DEFAULT_FORM, SampleForm
from pslgs.data.source import named_labels
from pslgs.model_inputs import Inputs
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import INPUTS

LABELS: Final = "y"
"""Name of the array of labels."""


class ArraySource:
    """A source over an array of samples, which may be memory-mapped, or one of each input, and the labels.

    Attributes:
        labels: The label of each sample.
        class_names: The name of each class, or None where they are unknown.
        is_in_memory: Whether no array is memory-mapped.

    Raises:
        InputError: samples and labels differ in number, or samples are not rows of numbers.
    """

    is_thread_safe = True
    left_out: Sequence[LeftOut] = ()

    def __init__(
        self,
        inputs: NDArray[Any] | Mapping[str, NDArray[Any]],
        labels: NDArray[Any],
        class_names: tuple[str, ...] | None,
        field: str,
        form: SampleForm = DEFAULT_FORM,
    ) -> None:
        self._arrays = {"": inputs} if isinstance(inputs, np.ndarray) else inputs
        for name, array in self._arrays.items():
            _check_rows(array, name, field)
        self.is_in_memory = not any(isinstance(array, np.memmap) for array in self._arrays.values())
        self.labels, self.class_names, self.has_text_labels = named_labels(labels, class_names, field)
        for name, array in self._arrays.items():
            if len(array) != len(self.labels):
                held = f"samples of {name}" if name else "samples"
                raise InputError.at(
                    field, f"has {len(array)} {held} but {len(self.labels)} labels; one of them is damaged"
                )
        self._forms = form.named or {"": form}

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Inputs:
        """Return a copy of one sample; see `SampleForm.sample`.

        Raises:
            InputError: the sample does not fit the declared layout or type.
        """
        loaded = {name: each.sample(self._arrays[name][index]) for name, each in self._forms.items()}
        return loaded.get("", loaded)


def _check_rows(array: NDArray[Any], name: str, field: str) -> None:
    """Check that an array holds rows of numbers; one of several inputs may be a number for each sample."""
    if array.dtype.kind not in "buif" or array.ndim < (1 if name else 2):
        of_input = f" of {name}" if name else ""
        raise InputError.at(
            field,
            f"has samples{of_input} of type {array.dtype} and shape {array.shape}; they must be rows of "
            "numbers",
        )


def open_numpy(source: DataSource, field: str, form: SampleForm = DEFAULT_FORM) -> ArraySource:
    """Open the arrays ``x`` (samples) and ``y`` (labels) of an .npz file or of a folder with x.npy and y.npy.

    Instead of ``x``, there is an array for each of several inputs, of its name.

    The .npy files of a folder are memory-mapped; an .npz file is read as a whole.

    Raises:
        InputError: a file is missing or damaged, or an array has a wrong name, type or shape.
    """
    path = Path(source.path or "").expanduser()
    if LABELS in form.named:
        raise InputError.at(INPUTS, f"names an input '{LABELS}', as the array of labels is called; rename it")
    names = (*(form.named or ("x",)), LABELS)
    if path.is_dir():
        arrays = {name: _load_array(path / f"{name}.npy", names, f"{field}.path") for name in names}
    elif path.is_file():
        arrays = _load_archive(path, names, f"{field}.path")
    else:
        raise InputError.at(
            f"{field}.path", f"is '{path}', which does not exist: {what_is_missing(source.path or '')}"
        )
    labels = arrays.pop(LABELS)
    inputs = arrays if form.named else arrays["x"]
    return ArraySource(inputs, labels, tuple(source.classes) if source.classes else None, field, form)


def _load_array(path: Path, names: Sequence[str], field: str) -> NDArray[Any]:
    if not path.is_file():
        files = " and ".join(f"{name}.npy" for name in names)
        raise InputError.at(field, f"lacks the file '{path}'; a folder of arrays holds {files}")
    try:
        with read_by_library():
            return _array(np.load(path, mmap_mode="r", allow_pickle=False))
    except DamagedFileError as error:
        raise InputError.at(field, f"names '{path}', which {_problem(error, '.npy')}") from error


def _array(loaded: object) -> NDArray[Any]:
    """Return what NumPy has read; it gives bytes, or an archive, for what does not begin as an array does.

    Raises:
        DamagedFileError: it is no array.
    """
    if not isinstance(loaded, np.ndarray):
        raise DamagedFileError(f"it holds {type(loaded).__name__} in the place of an array")
    return loaded


def _problem(error: Exception, kind: str) -> str:
    """Return what is wrong with a file that NumPy cannot read."""
    if "Object arrays" in str(error) or "Python objects" in str(error):
        return "has an array of Python objects; save it as numbers or text, such as y.astype(int)"
    if "pickle" in str(error):  # NumPy takes any other content for a pickle, and advises to load it
        return f"is not a valid {kind} file; save it anew"
    return f"is not a valid {kind} file ({error})"


def _load_archive(path: Path, names: Sequence[str], field: str) -> dict[str, NDArray[Any]]:
    wanted = " and ".join(names)
    try:
        with read_by_library(), path.open("rb") as file, _loaded(file, path, field) as archive:
            if set(names) - set(archive.files):
                listed = ", ".join(archive.files) or "none"
                raise InputError.at(
                    field, f"names '{path}', which must hold the arrays {wanted}; it holds {listed}"
                )
            _check_fits(path, names, field)
            return {name: _array(archive[name]) for name in names}
    except DamagedFileError as error:
        raise InputError.at(field, f"names '{path}', which {_problem(error, '.npz')}") from error


def _check_fits(path: Path, names: Sequence[str], field: str) -> None:
    """Check that the decompressed arrays of an archive fit into memory.

    Raises:
        InputError: they do not.
    """
    with zipfile.ZipFile(path) as archive:
        sizes = {Path(each.filename).stem: each.file_size for each in archive.infolist()}
    needed, memory = sum(sizes.get(name, 0) for name in names), memory_bytes()
    if needed > memory:
        files = " and ".join(f"{name}.npy" for name in names)
        raise InputError.at(
            field,
            f"names '{path}', whose arrays have {needed:,} bytes when they are decompressed, and the memory "
            f"here {memory:,}; save them as {files} in a folder, from which they are read piece by piece",
        )


def _loaded(file: IO[bytes], path: Path, field: str) -> NpzFile:
    loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, NpzFile):
        raise InputError.at(
            field, f"names '{path}', a single array; name its folder, with the files x.npy and y.npy"
        )
    return loaded
