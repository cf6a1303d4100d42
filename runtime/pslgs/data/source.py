"""The interface of datasets of all formats, and the reading of their labels."""

import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pslgs.data.left_out import LeftOut
from pslgs.model_inputs import Inputs
from pslgs.spec.errors import InputError


class DamagedSampleError(InputError):
    """Raised when one sample cannot be read; the others may be in order."""


class Source(Protocol):
    """A dataset on disk or in memory; several clients may share one.

    Attributes:
        labels: The label of each sample.
        class_names: The name of each class by its number in ``labels``, or None where they are unknown.
        has_text_labels: Whether the labels were texts or names of folders; see `NamedLabels`.
    """

    labels: "Labels"
    class_names: tuple[str, ...] | None
    has_text_labels: bool

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """Files that are not samples, by reason."""
        ...

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may call `load` at the same time."""
        ...

    @property
    def is_in_memory(self) -> bool:
        """Whether `load` only copies a sample, without reading or decoding it."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def load(self, index: int) -> Inputs:
        """Decode one sample, without transforms.

        Returns:
            A uint8 image of shape (channels, height, width), or float32 features of any shape, or such of
            each input, if the model has several.

        Raises:
            DamagedSampleError: the sample is damaged; the message names it.
            InputError: the sample does not fit the manifest.
        """
        ...


class PooledSource:
    """The samples of several sources, one after the other.

    Attributes:
        labels: The label of each sample.
        class_names: The name of each class, or None where they are unknown.
        has_text_labels: See `Source`.
        left_out: What the sources leave out.
        is_thread_safe: Whether all sources are.
        is_in_memory: Whether all sources are.

    Args:
        parts: Sources, and the indices of the samples that are taken of each; shape (samples,).
        labels: The label of each sample that is taken, for each source.
        class_names: The names of the classes that these labels number.
    """

    def __init__(
        self,
        parts: "Sequence[tuple[Source, NDArray[np.int64]]]",
        labels: Sequence[NDArray[Any]],
        class_names: tuple[str, ...] | None,
    ) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(index) for _, index in parts)])
        self.labels: Labels = np.concatenate(labels)
        self.class_names = class_names
        sources = [source for source, _ in parts]
        self.has_text_labels = any(each.has_text_labels for each in sources)
        self.left_out = tuple(left_out for each in sources for left_out in each.left_out)
        self.is_thread_safe = all(each.is_thread_safe for each in sources)
        self.is_in_memory = all(each.is_in_memory for each in sources)

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Inputs:
        """Decode one sample; see `Source.load`."""
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        source, chosen = self._parts[part]
        return source.load(int(chosen[index - self._starts[part]]))


Labels = NDArray[np.int64] | NDArray[np.float32]
"""Numbers of shape (samples,) or (samples, targets): int64 if they were stored as integers, booleans or text.

What they mean, classes or targets, depends on the loss; see `pslgs.training.dataset_check`.
"""


class NamedLabels(NamedTuple):
    """Labels, and the name of each class by its number; None where classes have no names.

    ``are_texts`` is true if the labels were texts, so that their numbers mean nothing but their names.
    """

    labels: Labels
    class_names: tuple[str, ...] | None
    are_texts: bool = False


def named_labels(values: object, names: Sequence[str] | None, field: str) -> NamedLabels:
    """Read labels of any type.

    Text labels are names of classes, which are numbered here in the order of the sorted names.

    Args:
        values: The label of each sample: an array, or a sequence of numbers, texts, arrays or tensors.
        names: Names of the classes of numeric labels; None where they are unknown.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.

    Raises:
        InputError: see `checked_labels`.
    """
    array = _as_array(values, field)
    if array.dtype.kind not in "US":
        return NamedLabels(checked_labels(array, field), None if names is None else nfc(names))
    found, numbers = np.unique(np.array(nfc(_texts(array, field))), return_inverse=True)
    if any(name.lower() in _MISSING_NAMES and name not in (names or ()) for name in found.tolist()):
        raise InputError.at(field, _MISSING)
    labels = numbers.reshape(array.shape).astype(np.int64)
    return NamedLabels(checked_labels(labels, field), tuple(map(str, found)), are_texts=True)


_MISSING_NAMES: Final = frozenset({"", "nan"})
"""Texts, in lower case, that other libraries write for a missing value."""

_MISSING: Final = "has labels that are missing or not finite; leave those samples out"


def _texts(array: NDArray[Any], field: str) -> list[str]:
    try:
        decoded = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as error:
        raise InputError.at(
            field, f"has labels of bytes that are not UTF-8 ({error}); save them as text or numbers"
        ) from error
    if not _is_unicode(decoded):
        raise InputError.at(field, "has labels with characters that Unicode does not have; save them anew")
    texts: list[str] = decoded.ravel().tolist()
    return texts


def _is_unicode(texts: NDArray[np.str_]) -> bool:
    """Return whether all characters have a code; NumPy reads any number of 32 bits."""
    if not texts.dtype.itemsize:
        return True
    native = np.ascontiguousarray(texts.astype(texts.dtype.newbyteorder("="))).reshape(-1)
    return bool((native.view(np.uint32) <= sys.maxunicode).all())


def nfc(names: Sequence[str]) -> tuple[str, ...]:
    """Return names in Unicode's normal form C, in which equal names have equal characters."""
    return tuple(unicodedata.normalize("NFC", name) for name in names)


def checked_labels(values: object, field: str) -> Labels:
    """Convert numeric labels of any type; integers and booleans become int64, other numbers float32.

    A second dimension of size 1 is removed.

    Raises:
        InputError: there are no labels, they are not numbers, or one is missing or not finite.
    """
    labels = _as_array(values, field)
    if labels.size == 0:
        raise InputError.at(field, "holds no samples; check that the path leads to the data")
    if labels.dtype.kind not in "buif" or labels.ndim not in {1, 2}:
        raise InputError.at(
            field,
            f"has labels of type {labels.dtype}, {labels.ndim}-dimensional; each must be a number, the name "
            "of a class, or a row of numbers",
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind in "bui":
        if labels.dtype.kind == "u" and labels.max() > _LARGEST_INT64:
            raise InputError.at(field, f"has the label {labels.max()}, which is too large; correct it")
        return labels.astype(np.int64, copy=False)
    if not np.isfinite(labels).all():
        raise InputError.at(field, _MISSING)
    with np.errstate(over="ignore"):  # what becomes infinite is refused where the loss is known
        return labels.astype(np.float32, copy=False)


_LARGEST_INT64: Final = np.iinfo(np.int64).max


def _as_array(values: object, field: str) -> NDArray[Any]:
    if isinstance(values, Tensor):
        return values.numpy(force=True)
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return values
    listed = [each.tolist() if isinstance(each, Tensor) else each for each in values]  # type: ignore[attr-defined]
    texts = sum(isinstance(each, str | bytes) for each in listed)
    if any(each is None or each == "" for each in listed if not isinstance(each, np.ndarray)) or (
        0 < texts < len(listed)  # numpy would turn the others into text, such as the missing value nan
    ):
        raise InputError.at(field, "has labels that are missing, or of different types; leave them out")
    try:
        return np.asarray(listed)
    except ValueError as error:
        raise InputError.at(field, f"has labels that differ in length ({error}); make them alike") from error
