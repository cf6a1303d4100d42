"""The interface of datasets of all formats, and the validation of their labels."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pslgs.spec.errors import InputError


class Source(Protocol):
    """A dataset on disk or in memory; several clients may share one."""

    @property
    def labels(self) -> "Labels":
        """The label of each sample."""
        ...

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The name of each class, or None where they are unknown."""
        ...

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may call `load` at the same time."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def load(self, index: int) -> Tensor:
        """Decode one sample, without transforms.

        Returns:
            A uint8 image of shape (channels, height, width), or float32 features of any shape.

        Raises:
            InputError: the sample is damaged; the message names it.
        """
        ...


Labels = NDArray[np.int64] | NDArray[np.float32]
"""int64 classes of shape (samples,), or float32 targets of shape (samples,) or (samples, targets)."""


def checked_labels(values: object, field: str) -> Labels:
    """Convert labels of any numeric type to classes (from integers) or targets (from floats).

    Raises:
        InputError: there are no labels, they are not numbers, a class is negative, or a target is not
            finite.
    """
    labels = np.asarray(values)
    if labels.size == 0:
        raise InputError.at(field, "holds no samples; check that the path leads to the data")
    if labels.dtype.kind in "bui" and labels.ndim == 1:
        if labels.min() < 0:
            raise InputError.at(field, f"holds the label {labels.min()}; classes are numbered from 0")
        return labels.astype(np.int64, copy=False)
    if labels.dtype.kind not in "f" or labels.ndim not in {1, 2}:
        raise InputError.at(
            field,
            f"has labels of type {labels.dtype}, {labels.ndim}-dimensional; labels are classes or targets",
        )
    if not np.isfinite(labels).all():
        raise InputError.at(field, "has labels that are missing or not finite; leave those samples out")
    return labels.astype(np.float32, copy=False)


def is_classification(labels: Labels) -> bool:
    """Return whether labels are classes, and not targets of a regression."""
    return bool(np.issubdtype(labels.dtype, np.integer))
