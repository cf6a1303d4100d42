"""Samples in a map-style dataset, as torch understands it: items are pairs of sample and label."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pslgs.data.arrays import as_sample
from pslgs.data.images import from_pillow
from pslgs.data.source import Labels, checked_labels
from pslgs.spec.errors import InputError

FAULTS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError, OSError)
"""What a dataset that others wrote may raise for a sample that is damaged or missing."""


class Pairs(Protocol):
    """A dataset that others wrote."""

    def __len__(self) -> int:
        """Count the samples."""
        ...

    def __getitem__(self, index: int, /) -> tuple[object, object]:
        """Return a sample and its label."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PairsSource:
    """Samples of ``pairs``; how much of it is in memory is its own affair."""

    pairs: Pairs
    labels: Labels
    class_names: tuple[str, ...] | None
    field: str

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Tensor:
        """Accept a tensor, an array or a Pillow image; uint8 images stay, all else becomes float32.

        Raises:
            InputError: the item is something else, or damaged.
        """
        sample = _pair(self.pairs, index, self.field)[0]
        if isinstance(sample, Image.Image):
            return from_pillow(sample)
        values = sample.numpy(force=True) if isinstance(sample, Tensor) else np.asarray(sample)
        if values.dtype.kind not in "buif":
            kind = type(sample).__name__
            raise InputError.at(
                self.field, f"has the sample {index} of type {kind}; it must be a tensor or image"
            )
        return torch.from_numpy(as_sample(values))


def labels_of(pairs: Pairs, attributes: Sequence[str], field: str) -> Labels:
    """Find all labels: in the first of ``attributes`` that has one for each item, or else in the items.

    Raises:
        InputError: there are none, they are no labels, or an item cannot be read.
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
        raise InputError.at(field, f"cannot give sample {index} and its label: {error}") from error
    return sample, label
