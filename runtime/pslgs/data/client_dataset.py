"""One client's samples: their order, local batches and prefetching."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.data.source import Labels, Source
from pslgs.data.thread_random import ThreadGenerator
from pslgs.data.transforms import Pipeline
from pslgs.sampling.randomness import Purpose, client_key, generator, torch_seed
from pslgs.spec.errors import InputError


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
class DatasetOwner:
    """The client that a dataset belongs to.

    Attributes:
        client_id: Id of the client; empty for the server.
        seed: Seed of the job, from which order and augmentation are derived.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
    """

    client_id: str
    seed: int
    field: str


class ClientDataset:
    """The samples of one client: a subset of a source that several clients may share.

    Samples are decoded when a batch is loaded, and not kept.  The augmentation of a sample depends on the
    seed, the epoch, the client and the sample, but not on the batch to which the sample belongs.

    `batch` and `in_order` load a batch in the calling thread.  Alternatively, several threads call `decode`
    for parts of a batch, and `collate` combines their samples.  Both give the same tensors.

    Attributes:
        labels: The label of each of the client's samples, in the order of ``index``.
        class_names: The name of each class, or None where they are unknown.
        input_shape: Shape of a transformed sample; defined even if the client has no samples.
        is_thread_safe: Whether several threads may call `decode` at the same time.

    Args:
        source: The dataset.
        index: Indices in ``source`` of the client's samples; shape (samples,).
        pipeline: Transforms of a sample.
        owner: The client.
    """

    def __init__(
        self, source: Source, index: NDArray[np.int64], pipeline: Pipeline, owner: DatasetOwner
    ) -> None:
        self.labels: Labels = source.labels[index]
        self.class_names = source.class_names
        self.is_thread_safe = source.is_thread_safe
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
        kept, order = self._order
        if kept != epoch:
            rng = generator(self._owner.seed, Purpose.LOCAL_ORDER, epoch, self._client_key)
            order = rng.permutation(self.samples).astype(np.int64, copy=False)
            self._order = (epoch, order)
        return order

    def batch(self, epoch: int, offset: int, count: int) -> Batch:
        """Load the samples from ``offset`` to ``offset + count - 1`` in the order of ``epoch``.

        Raises:
            ValueError: the slice exceeds the samples.
            InputError: a sample is damaged or cannot be transformed.
        """
        return self._load(epoch, offset, count)

    def in_order(self, first: int, count: int) -> Batch:
        """Load ``count`` samples from ``first`` on in the order of the index, for evaluation.

        Raises:
            ValueError: the slice exceeds the samples.
            InputError: a sample is damaged or cannot be transformed.
        """
        return self._load(None, first, count)

    def decode(
        self, epoch: int | None, offset: int, count: int, cancelled: Callable[[], bool]
    ) -> list[Tensor]:
        """Decode and transform a part of a batch; the random state of the process does not change.

        Args:
            epoch: Epoch that determines order and augmentation; None for the order of the index.
            offset: Position of the first sample in this order.
            count: Number of samples.
            cancelled: Called before each sample; if it returns True, the samples decoded so far are returned.

        Raises:
            ValueError: the slice exceeds the samples.
            InputError: a sample is damaged or cannot be transformed.
        """
        own = torch.Generator()
        guarded = self._pipeline.is_random or not self.is_thread_safe
        samples: list[Tensor] = []
        with ThreadGenerator(own) if guarded else nullcontext():
            for position in self._positions(epoch, offset, count).tolist():
                if cancelled():
                    break
                samples.append(self._sample(position, epoch or 0, own))
        return samples

    def collate(self, epoch: int | None, offset: int, samples: list[Tensor]) -> Batch:
        """Combine samples that `decode` returned for the same slice to a batch.

        Raises:
            InputError: the samples differ in shape, cannot be transformed, or are not finite.
        """
        positions = self._positions(epoch, offset, len(samples))
        labels = torch.from_numpy(self.labels[positions])
        if not samples:
            return Batch(torch.empty((0, *self.input_shape)), labels)
        inputs = self._pipeline.collate(samples)
        self._check_finite(inputs, positions)
        return Batch(inputs, labels)

    def _load(self, epoch: int | None, offset: int, count: int) -> Batch:
        positions = self._positions(epoch, offset, count)
        with _restored_random_state():
            samples = [
                self._sample(position, epoch or 0, torch.default_generator) for position in positions.tolist()
            ]
        return self.collate(epoch, offset, samples)

    def _positions(self, epoch: int | None, offset: int, count: int) -> NDArray[np.int64]:
        if offset < 0 or count < 0 or offset + count > self.samples:
            raise ValueError(
                f"samples {offset} to {offset + count - 1} do not exist; there are {self.samples}"
            )
        if epoch is None:
            return np.arange(offset, offset + count)
        return self.order(epoch)[offset : offset + count]

    def _sample(self, position: int, epoch: int, random: torch.Generator) -> Tensor:
        index = int(self._index[position])
        if not self._pipeline.is_random and self.is_thread_safe:
            return self._pipeline.transform(self._source.load(index))
        seed = torch_seed(self._owner.seed, Purpose.AUGMENTATION, epoch, self._client_key, position)
        random.manual_seed(seed)  # for datasets that draw random numbers
        sample = self._source.load(index)
        random.manual_seed(seed)  # v2 transforms use no other generator
        return self._pipeline.transform(sample)

    def _check_finite(self, inputs: Tensor, positions: NDArray[np.int64]) -> None:
        if inputs.numel() == 0:
            return
        lowest, highest = torch.aminmax(inputs)
        if lowest.isfinite() and highest.isfinite():  # either is NaN if any value is
            return
        row = int(inputs.isfinite().flatten(1).all(dim=1).logical_not().nonzero()[0])
        raise InputError.at(
            self._owner.field,
            f"holds sample {self._index[positions[row]]} (counted from 0), which has values after the "
            "transforms that are not finite; correct the sample or leave it out",
        )

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
