"""Map-style datasets: (sample, label) pairs of torchvision and of users' functions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pslgs.data.decoding import from_pillow
from pslgs.data.left_out import LeftOut
from pslgs.data.samples import DEFAULT_FORM, SampleForm
from pslgs.data.source import DamagedSampleError, Labels, named_labels
from pslgs.model_inputs import Inputs
from pslgs.spec.data import DataSource
from pslgs.spec.entrypoints import load_entrypoint, user_code
from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import INPUTS


class Pairs(Protocol):
    """A map-style dataset of pairs (sample, label)."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int, /) -> tuple[object, object]:
        """Return a sample and its label."""
        ...


@dataclass(slots=True, eq=False)
class PairsSource:
    """A source over a map-style dataset.

    Attributes:
        pairs: The dataset.
        labels: The label of each sample.
        class_names: The name of each class, or None where they are unknown.
        field: Path of the manifest field that names the dataset, for error messages.
        is_thread_safe: Whether several threads may read items at a time; false unless it is known.
        form: What the manifest says of the samples.
        has_text_labels: Whether the labels were texts.
        stated: The numeric labels that the dataset states in an attribute, if those of its items have to be
            the same.
    """

    pairs: Pairs
    labels: Labels
    class_names: tuple[str, ...] | None
    field: str
    is_thread_safe: bool = False
    form: SampleForm = DEFAULT_FORM
    has_text_labels: bool = False
    stated: NDArray[Any] | None = None

    @property
    def is_in_memory(self) -> bool:
        """False: items are made by the dataset's code."""
        return False

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """Nothing: what is in the dataset is up to its code."""
        return ()

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Inputs:
        """Return one sample, whose inputs may be tensors, arrays or Pillow images; see `SampleForm.sample`.

        Raises:
            InputError: the sample has another type or other inputs than declared, does not fit the declared
                layout, or cannot be read.
        """
        sample, label = _pair(self.pairs, index, self.field)
        self._check_label(index, label)
        if self.form.named:
            given = self._declared_inputs(sample, index)
            return {
                name: self._converted(given[name], f"'{name}' of sample {index}", form)
                for name, form in self.form.named.items()
            }
        if isinstance(sample, Mapping):
            raise InputError.at(
                self.field,
                f"returned a mapping with the keys {_listed(sample)} as the input of sample {index}; declare "
                f"the inputs of the model in {INPUTS}",
            )
        return self._converted(sample, f"the sample {index}", self.form)

    def _declared_inputs(self, sample: object, index: int) -> Mapping[str, object]:
        """Check that a sample has exactly the declared inputs."""
        names = ", ".join(self.form.named)
        if not isinstance(sample, Mapping):
            raise InputError.at(
                self.field,
                f"returned {_shown(sample)} as the input of sample {index}; it must be a mapping with the "
                f"inputs of {INPUTS} ({names})",
            )
        if set(sample) != set(self.form.named):
            raise InputError.at(
                self.field,
                f"returned the inputs {_listed(sample)} with sample {index}, but {INPUTS} names {names}; "
                "make them the same",
            )
        return sample

    def _converted(self, value: object, what: str, form: SampleForm) -> Tensor:
        if isinstance(value, Image.Image):
            return from_pillow(value, form.value_range)
        with user_code(self.field, f"has {what} that is not an array: {{}}".format):
            if isinstance(value, Tensor):
                given = value.float() if value.dtype == torch.bfloat16 else value  # NumPy has no bfloat16
                values = given.numpy(force=True)
            else:
                values = np.asarray(value)
        if values.dtype.kind not in "buif":
            kind = type(value).__name__
            raise InputError.at(self.field, f"has {what} of type {kind}; it must be a tensor or image")
        return form.sample(values)

    def _check_label(self, index: int, given: object) -> None:
        """Check that a number that comes with a sample is the label that the dataset stated for it."""
        stated = self.stated
        if stated is None or stated.ndim != 1 or not isinstance(given, int | float | np.number | Tensor):
            return
        values = torch.as_tensor(given).flatten().tolist()
        number = float(values[0]) if len(values) == 1 else math.nan
        if number != stated[index] and not math.isclose(number, stated[index], rel_tol=1e-6):
            raise InputError.at(
                self.field,
                f"returned the label {number:g} with the sample {index}, but its attribute with all labels "
                f"says {stated[index]:g}; correct the attribute, or remove it, so that all items are read",
            )


AllLabels = Tensor | NDArray[Any] | Sequence[object]
"""Labels with an element for each sample."""


def labels_of(pairs: Pairs, attributes: Sequence[str], field: str) -> AllLabels:
    """Return all labels of a dataset; without `stated_labels`, all items are read.

    Raises:
        InputError: the code of the dataset raised an exception, or an item is not a pair.
    """
    stated = stated_labels(pairs, attributes, field)
    if stated is not None:
        return stated
    with user_code(field):
        samples = len(pairs)
    return [_pair(pairs, index, field)[1] for index in range(samples)]


def stated_labels(pairs: Pairs, attributes: Sequence[str], field: str) -> AllLabels | None:
    """Return the first of ``attributes`` that holds one label per item; None if there is none.

    Methods and mappings are passed over.

    Raises:
        InputError: the code of the dataset raised an exception.
    """
    with user_code(field):
        samples = len(pairs)
        for attribute in attributes:
            stored = getattr(pairs, attribute, None)
            if isinstance(stored, Tensor | np.ndarray | Sequence) and len(stored) == samples:
                return stored
    return None


def _pair(pairs: Pairs, index: int, field: str) -> tuple[object, object]:
    with user_code(field, f"failed to return sample {index} with {{}}".format, DamagedSampleError):
        item = pairs[index]
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise InputError.at(
            field, f"returned {_shown(item)} as sample {index}; it must be a pair (input, label)"
        )
    return item[0], item[1]


def _shown(item: object) -> str:
    """Describe an item that is no pair."""
    if isinstance(item, Mapping):
        return f"a {type(item).__name__} with the keys {', '.join(map(str, item))}"
    if isinstance(item, tuple | list):
        return f"a {type(item).__name__} of {len(item)}"
    return f"a value of type {type(item).__name__}"


def _listed(inputs: Mapping[Any, object]) -> str:
    return ", ".join(map(str, inputs)) or "none"


LABEL_ATTRIBUTES = ("labels", "targets")


def open_custom(source: DataSource, field: str, form: SampleForm = DEFAULT_FORM) -> PairsSource:
    """Open the dataset that the function ``source.entrypoint`` returns when called with ``source.options``.

    The dataset must have ``__len__`` and ``__getitem__``, and its items must be pairs (sample, label), of
    which the sample is a mapping of names to values if the manifest declares several inputs.
    Labels are taken from its attribute ``labels`` or ``targets``; without one, all items are read once.  The
    names of classes are its attribute ``classes``, if it is a list of texts.  A number that is the label of
    an item must be the one in the attribute.

    Raises:
        InputError: the function cannot be imported, raises, or does not return such a dataset.
    """
    field = f"{field}.entrypoint"
    function = load_entrypoint(source.entrypoint or "", field)
    with user_code(field):
        dataset = function(**source.options)
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        kind = type(dataset).__name__
        raise InputError.at(
            field, f"returned a {kind}; it must return an object with __len__ and __getitem__"
        )
    with user_code(field):
        classes = getattr(dataset, "classes", None)
        named = isinstance(classes, list | tuple) and all(isinstance(each, str) for each in classes)
        stated = stated_labels(dataset, LABEL_ATTRIBUTES, field)
        values = labels_of(dataset, LABEL_ATTRIBUTES, field)
        labels, names, texts = named_labels(values, classes if named and classes else source.classes, field)
    compared = None if stated is None or texts else labels
    return PairsSource(dataset, labels, names, field, form=form, has_text_labels=texts, stated=compared)
