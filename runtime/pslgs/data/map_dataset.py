"""Map-style datasets: (sample, label) pairs of torchvision and of users' functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pslgs.data.arrays import as_sample
from pslgs.data.decoding import ValueRange, from_pillow
from pslgs.data.source import Labels, checked_labels
from pslgs.spec.data import DataSource
from pslgs.spec.entrypoints import load_entrypoint
from pslgs.spec.errors import InputError

FAULTS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError, OSError)
"""Exceptions that third-party datasets may raise when a sample is damaged or missing."""


class Pairs(Protocol):
    """A map-style dataset of pairs (sample, label)."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int, /) -> tuple[object, object]:
        """Return a sample and its label."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PairsSource:
    """A source over a map-style dataset.

    Attributes:
        pairs: The dataset.
        labels: The label of each sample.
        class_names: The name of each class, or None where they are unknown.
        field: Path of the manifest field that names the dataset, for error messages.
        is_thread_safe: Whether several threads may read items at a time; false unless it is known.
        value_range: Values of grey images of more than 8 bits that become 0 and 1.
    """

    pairs: Pairs
    labels: Labels
    class_names: tuple[str, ...] | None
    field: str
    is_thread_safe: bool = False
    value_range: ValueRange | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Tensor:
        """Return one sample, which may be a tensor, an array or a Pillow image, in the form of `as_sample`.

        Raises:
            InputError: the sample has another type, or cannot be read.
        """
        sample = _pair(self.pairs, index, self.field)[0]
        if isinstance(sample, Image.Image):
            return from_pillow(sample, self.value_range)
        values = sample.numpy(force=True) if isinstance(sample, Tensor) else np.asarray(sample)
        if values.dtype.kind not in "buif":
            kind = type(sample).__name__
            raise InputError.at(
                self.field, f"has the sample {index} of type {kind}; it must be a tensor or image"
            )
        return torch.from_numpy(as_sample(values))


def labels_of(pairs: Pairs, attributes: Sequence[str], field: str) -> Labels:
    """Return all labels of a dataset.

    They are taken from the first of ``attributes`` that holds one label per item.  If there is none, all
    items are read.

    Raises:
        InputError: the dataset is empty, its labels are invalid (see `checked_labels`), or an item cannot
            be read.
    """
    for attribute in attributes:
        stored = getattr(pairs, attribute, None)
        if stored is not None and len(stored) == len(pairs):
            return checked_labels(torch.as_tensor(stored).numpy(force=True), field)
    return checked_labels([_pair(pairs, index, field)[1] for index in range(len(pairs))], field)


def _pair(pairs: Pairs, index: int, field: str) -> tuple[object, object]:
    try:
        sample, label = pairs[index]
    except FAULTS as error:
        raise InputError.at(field, f"failed to return sample {index} and its label: {error}") from error
    return sample, label


LABEL_ATTRIBUTES = ("labels", "targets")


def open_custom(source: DataSource, field: str, value_range: ValueRange | None = None) -> PairsSource:
    """Open the dataset that the function ``source.entrypoint`` returns when called with ``source.options``.

    The dataset must have ``__len__`` and ``__getitem__``, and its items must be pairs (sample, label).
    Labels are taken from its attribute ``labels`` or ``targets``; without one, all items are read once.

    Raises:
        InputError: the function cannot be imported, raises, or does not return such a dataset.
    """
    field = f"{field}.entrypoint"
    function = load_entrypoint(source.entrypoint or "", field)
    try:
        dataset = function(**source.options)
    except FAULTS as error:
        raise InputError.at(field, f"failed with {type(error).__name__}: {error}") from error
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        kind = type(dataset).__name__
        raise InputError.at(
            field, f"returned a {kind}; it must return an object with __len__ and __getitem__"
        )
    labels = labels_of(dataset, LABEL_ATTRIBUTES, field)
    names = tuple(source.classes) if source.classes else None
    return PairsSource(dataset, labels, names, field, value_range=value_range)
