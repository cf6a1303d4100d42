"""What every format of a dataset offers: its labels at once, its samples one at a time."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pslgs.spec.errors import InputError


class Source(Protocol):
    """A dataset as it lies on disk or in memory; many clients may look at the same one."""

    @property
    def labels(self) -> "Labels":
        """The label of each sample."""
        ...

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The name of each class, where the dataset knows it."""
        ...

    def __len__(self) -> int:
        """Count the samples."""
        ...

    def load(self, index: int) -> Tensor:
        """Decode one sample, before any transform.

        Returns:
            A uint8 image (channels, height, width), or float32 features of any shape.

        Raises:
            InputError: the sample is damaged; the message names it.
        """
        ...


Labels = NDArray[np.int64] | NDArray[np.float32]
"""int64 classes of shape (samples,), or float32 targets of shape (samples,) or (samples, targets)."""


def checked_labels(values: object, field: str) -> Labels:
    """Turn labels of any numeric type into classes (whole numbers) or targets (all others).

    Raises:
        InputError: there are none, they are no numbers, a class is negative or a target not finite.
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
    """Whether labels are classes and not targets of a regression."""
    return bool(np.issubdtype(labels.dtype, np.integer))


def class_count(labels: Labels) -> int:
    """Count the classes that ``labels`` need: one more than the highest, none for targets."""
    return int(labels.max(initial=-1)) + 1 if is_classification(labels) else 0
