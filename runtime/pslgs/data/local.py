"""One client's view of a dataset: which samples are its own, in which order, cut into local batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.data.source import Labels, Source, is_classification
from pslgs.data.transforms import Pipeline
from pslgs.sampling.randomness import Purpose, client_key, generator, torch_seed
from pslgs.spec.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples, ready for the model.

    Attributes:
        inputs: float32; shape (samples, *input_shape).
        labels: int64 classes (samples,), or float32 targets (samples,) or (samples, targets).
    """

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose view it is.

    Attributes:
        client_id: The client, or an empty string for the server.
        seed: The job's seed, from which order and augmentation derive.
        field: The data source in the manifest, as ``spec.data.train``.
    """

    client_id: str
    seed: int
    field: str


class LocalDataset:
    """The samples of one client: indices into a dataset that many clients may share.

    Samples are decoded when a batch is asked for, and none is kept.  A sample's augmentation depends on
    the seed, the epoch, the client and the sample, and not on the batch in which it comes.

    Attributes:
        labels: The client's labels, in the order of its index.
        class_names: The name of each class, where the dataset knows it.
        input_shape: Shape of a transformed sample; known without samples, too.
    """

    def __init__(self, source: Source, index: NDArray[np.int64], pipeline: Pipeline, owner: Owner) -> None:
        self.labels: Labels = source.labels[index]
        self.class_names = source.class_names
        self._source = source
        self._index = index
        self._pipeline = pipeline
        self._owner = owner
        self._client_key = client_key(owner.client_id)
        self._order: tuple[int, NDArray[np.int64]] = (-1, index[:0])
        self.input_shape = self._shape_of(int(index[0]) if len(index) else 0)

    @property
    def samples(self) -> int:
        """How many samples the client holds."""
        return len(self._index)

    def label_counts(self, classes: int) -> NDArray[np.int64]:
        """Count the samples of each class; shape (classes,).

        Raises:
            InputError: the labels are no classes, or one is beyond the model's ``classes`` outputs.
        """
        if not is_classification(self.labels):
            raise InputError.at(
                self._owner.field, "has targets as labels, and no classes; choose another loss"
            )
        highest = int(self.labels.max(initial=0))
        if highest >= classes:
            raise InputError.at(
                self._owner.field,
                f"has the label {highest}, but the model's {classes} outputs mean 0 to {classes - 1}; "
                "give the model as many outputs as there are classes",
            )
        return np.bincount(self.labels, minlength=classes).astype(np.int64)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the order in which ``epoch`` uses the samples: a permutation of 0…samples-1."""
        if self._order[0] != epoch:
            rng = generator(self._owner.seed, Purpose.LOCAL_ORDER, epoch, self._client_key)
            self._order = (epoch, rng.permutation(self.samples).astype(np.int64, copy=False))
        return self._order[1]

    def batch(self, epoch: int, offset: int, count: int) -> Batch:
        """Load the samples at ``offset`` … ``offset + count - 1`` in the order of ``epoch``.

        Raises:
            ValueError: the slice goes beyond the samples.
            InputError: a sample is damaged or cannot be transformed.
        """
        self._check_slice(offset, count)
        return self._load(self.order(epoch)[offset : offset + count], epoch)

    def in_order(self, first: int, count: int) -> Batch:
        """Load ``count`` samples from ``first`` on, in the order of the index, for an evaluation.

        Raises:
            ValueError: the slice goes beyond the samples.
            InputError: a sample is damaged or cannot be transformed.
        """
        self._check_slice(first, count)
        return self._load(np.arange(first, first + count), epoch=0)

    def _check_slice(self, offset: int, count: int) -> None:
        if offset < 0 or count < 0 or offset + count > self.samples:
            raise ValueError(f"samples {offset} to {offset + count} of {self.samples}")

    def _load(self, positions: NDArray[np.int64], epoch: int) -> Batch:
        labels = torch.from_numpy(self.labels[positions])
        if len(positions) == 0:
            return Batch(torch.empty((0, *self.input_shape)), labels)
        with _kept_random_state():
            samples = [self._sample(int(position), epoch) for position in positions]
        return Batch(self._pipeline.collate(samples), labels)

    def _sample(self, position: int, epoch: int) -> Tensor:
        sample = self._source.load(int(self._index[position]))
        if self._pipeline.is_random:
            seed = torch_seed(self._owner.seed, Purpose.AUGMENTATION, epoch, self._client_key, position)
            torch.default_generator.manual_seed(seed)  # the only one that v2 transforms draw from
        return self._pipeline.transform(sample)

    def _shape_of(self, index: int) -> tuple[int, ...]:
        with _kept_random_state():
            sample = self._pipeline.transform(self._source.load(index))
        return tuple(self._pipeline.collate([sample]).shape[1:])


@contextmanager
def _kept_random_state() -> Iterator[None]:
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
