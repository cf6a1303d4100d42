"""The dataset of one client: its samples, their order in an epoch, and its local batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.data.source import Labels, Source
from pslgs.data.transforms import Pipeline
from pslgs.sampling.randomness import Purpose, client_key, generator, torch_seed


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs and labels of several samples.

    Attributes:
        inputs: Transformed samples, float32; shape (samples, *input_shape).
        labels: int64 classes of shape (samples,), or float32 targets of shape (samples,) or
            (samples, targets).
    """

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Owner:
    """The client that a dataset belongs to.

    Attributes:
        client_id: Id of the client; empty for the server.
        seed: Seed of the job, from which order and augmentation are derived.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
    """

    client_id: str
    seed: int
    field: str


class LocalDataset:
    """The samples of one client: a subset of a source that several clients may share.

    Samples are decoded when a batch is loaded, and not kept.  The augmentation of a sample depends on the
    seed, the epoch, the client and the sample, but not on the batch to which the sample belongs.

    Attributes:
        labels: The label of each of the client's samples, in the order of ``index``.
        class_names: The name of each class, or None where they are unknown.
        input_shape: Shape of a transformed sample; defined even if the client has no samples.

    Args:
        source: The dataset.
        index: Indices in ``source`` of the client's samples; shape (samples,).
        pipeline: Transforms of a sample.
        owner: The client.
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
        """Number of samples of the client."""
        return len(self._index)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the order in which an epoch uses the samples: a permutation of 0 … samples - 1."""
        if self._order[0] != epoch:
            rng = generator(self._owner.seed, Purpose.LOCAL_ORDER, epoch, self._client_key)
            self._order = (epoch, rng.permutation(self.samples).astype(np.int64, copy=False))
        return self._order[1]

    def batch(self, epoch: int, offset: int, count: int) -> Batch:
        """Load the samples from ``offset`` to ``offset + count - 1`` in the order of ``epoch``.

        Raises:
            ValueError: the slice exceeds the samples.
            InputError: a sample is damaged or cannot be transformed.
        """
        self._check_slice(offset, count)
        return self._load(self.order(epoch)[offset : offset + count], epoch)

    def in_order(self, first: int, count: int) -> Batch:
        """Load ``count`` samples from ``first`` on in the order of the index, for evaluation.

        Raises:
            ValueError: the slice exceeds the samples.
            InputError: a sample is damaged or cannot be transformed.
        """
        self._check_slice(first, count)
        return self._load(np.arange(first, first + count), epoch=0)

    def _check_slice(self, offset: int, count: int) -> None:
        if offset < 0 or count < 0 or offset + count > self.samples:
            raise ValueError(
                f"samples {offset} to {offset + count - 1} do not exist; there are {self.samples}"
            )

    def _load(self, positions: NDArray[np.int64], epoch: int) -> Batch:
        labels = torch.from_numpy(self.labels[positions])
        if len(positions) == 0:
            return Batch(torch.empty((0, *self.input_shape)), labels)
        with _restored_random_state():
            samples = [self._sample(int(position), epoch) for position in positions]
        return Batch(self._pipeline.collate(samples), labels)

    def _sample(self, position: int, epoch: int) -> Tensor:
        sample = self._source.load(int(self._index[position]))
        if self._pipeline.is_random:
            seed = torch_seed(self._owner.seed, Purpose.AUGMENTATION, epoch, self._client_key, position)
            torch.default_generator.manual_seed(seed)  # the only generator that v2 transforms use
        return self._pipeline.transform(sample)

    def _shape_of(self, index: int) -> tuple[int, ...]:
        with _restored_random_state():
            sample = self._pipeline.transform(self._source.load(index))
        return tuple(self._pipeline.collate([sample]).shape[1:])


@contextmanager
def _restored_random_state() -> Iterator[None]:
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
