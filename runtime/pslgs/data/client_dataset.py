"""One client's samples: their order, local batches and prefetching."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.coordination.feature_moments import FeatureScale
from pslgs.data.input_scaling import InputScaling
from pslgs.data.label_space import ClassNames, renumbered
from pslgs.data.left_out import LeftOut
from pslgs.data.source import Labels, PooledSource, Source
from pslgs.data.thread_random import ThreadGenerator
from pslgs.data.transforms import SamplePipeline
from pslgs.model_inputs import Inputs, InputShape, elements, shape_of, tensors_of, zeros
from pslgs.sampling.randomness import Purpose, client_key, generator, torch_seed
from pslgs.spec.errors import InputError

SAMPLES_AT_HAND = 32
VALUES_AT_HAND = 1 << 15
"""So many samples, with so many values in all, are copied from memory in about 0.3 ms.  To hand a batch to a
thread and back takes 0.4 ms of CPU time (both measured on one core of a virtual AMD EPYC)."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs and labels of several samples.

    Attributes:
        inputs: Transformed samples, float32, or int64 if inputs are integers; shape
            (samples, *input_shape).  Of a model with several inputs, name -> such a tensor.
        labels: int64 classes of shape (samples,), or float32 targets of shape (samples,) or
            (samples, targets).
    """

    inputs: Inputs
    labels: Tensor


@dataclass(frozen=True, slots=True)
class DatasetOwner:
    """The client that a dataset belongs to.

    Attributes:
        client_id: Id of the client; empty for the server.
        seed: Seed of the job, from which order and augmentation are derived.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
        place: Path or name of the data, for error messages.
    """

    client_id: str
    seed: int
    field: str
    place: str = ""


class ClientDataset:
    """The samples of one client: a subset of a source that several clients may share.

    Samples are decoded when a batch is loaded, and not kept.  The augmentation of a sample depends on the
    seed, the epoch, the client and the sample, but not on the batch to which the sample belongs.

    `batch` and `in_order` load a batch in the calling thread.  Alternatively, several threads call `decode`
    for parts of a batch, and `collate` combines their samples.  Both give the same tensors.

    Attributes:
        labels: The label of each of the client's samples, in the order of ``index``.
        class_names: The name of each class, or None where they are unknown.
        left_out: Files and samples of the client that are left out of its data.
        input_shape: Shape of a transformed sample; defined even if the client has no samples.
        is_thread_safe: Whether several threads may call `decode` at the same time.
        awaits_names: Whether `number_classes` has to be called if the classes of the job have names.
        needs_names: Whether labels do not mean classes of the job before that.
        has_text_labels: Whether labels were stored as texts, or are names of folders.
        has_declared_classes: Whether their numbers are positions of the names in the manifest.

    Args:
        source: The dataset.
        index: Indices in ``source`` of the client's samples; shape (samples,).
        pipeline: Transforms of a sample.
        owner: The client.
        left_out: What is left out, see the attribute.
    """

    def __init__(
        self,
        source: Source,
        index: NDArray[np.int64],
        pipeline: SamplePipeline,
        owner: DatasetOwner,
        left_out: Sequence[LeftOut] = (),
    ) -> None:
        self.left_out = tuple(left_out)
        self.labels: Labels = source.labels[index]
        self.class_names = source.class_names
        self.awaits_names = self.needs_names = False
        self.has_text_labels = source.has_text_labels
        self.has_declared_classes = False
        self._as_opened = self.labels, self.class_names
        self.is_thread_safe = source.is_thread_safe
        self._source = source
        self._index = index
        self._pipeline = pipeline
        self._owner = owner
        self._client_key = client_key(owner.client_id)
        self._order: tuple[int, NDArray[np.int64]] = (-1, index[:0])
        self._scaling: InputScaling | None = None
        self.input_shape = self._shape_of(int(index[0]) if len(index) else 0)
        self._values = elements(self.input_shape)

    @classmethod
    def pooled(cls, datasets: "Sequence[ClientDataset]", client_id: str) -> "ClientDataset":
        """Return the dataset of a client that holds the samples of several clients, in their order.

        Args:
            datasets: Training or evaluation data of the same job, each of which fits its model and loss.
            client_id: Id of the client.
        """
        first = datasets[0]
        source = PooledSource(
            [(each._source, each._index) for each in datasets],
            [each.labels for each in datasets],
            next((each.class_names for each in datasets if each.class_names), None),
        )
        pooled = cls(
            source,
            np.arange(len(source)),
            first._pipeline,
            replace(first._owner, client_id=client_id, place=""),
            [left_out for each in datasets for left_out in each.left_out],
        )
        pooled.has_declared_classes = first.has_declared_classes
        return pooled

    @property
    def client_id(self) -> str:
        """Id of the client; empty for the server."""
        return self._owner.client_id

    @property
    def samples(self) -> int:
        """Number of samples of the client."""
        return len(self._index)

    @property
    def origin(self) -> str:
        """The client and the path of the data, as a clause for error messages; empty if both are unknown."""
        client = f"client '{self._owner.client_id}'" if self._owner.client_id else ""
        place = f"'{self._owner.place}'" if self._owner.place else ""
        return ", ".join(filter(None, (client, place)))

    def number_classes(self, names: ClassNames, place: str) -> None:
        """Number the classes by their position in ``names``; those without names keep their numbers.

        Args:
            names: Names of the job's classes.
            place: Path or name of the data, for error messages.

        Raises:
            InputError: there are samples of a class that is not in ``names``.
        """
        labels, own = self._as_opened
        self.labels = renumbered(labels, own, names, self._owner.field, place)
        self.class_names = names
        self.awaits_names = self.needs_names = False

    def transformed_by(self, pipeline: SamplePipeline) -> Self:
        """Return a dataset of the same samples with other transforms, which is not standardised."""
        other = copy(self)
        other._pipeline = pipeline
        other._scaling = None
        return other

    def standardize(self, scale: FeatureScale) -> None:
        """Standardise the features of all batches that are collated from now on.

        Args:
            scale: Mean and standard deviation of each value of a sample, or of each of its channels; of
                several inputs, those of one after the other.
        """
        self.scale_by(InputScaling.of(scale, self.input_shape, self._pipeline.inputs))

    def scale_by(self, scaling: InputScaling | None) -> None:
        """Scale all batches that are collated from now on, or none of them."""
        self._scaling = scaling

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the order in which an epoch uses the samples: a permutation of 0 … samples - 1."""
        kept, order = self._order
        if kept != epoch:
            rng = generator(self._owner.seed, Purpose.LOCAL_ORDER, epoch, self._client_key)
            order = rng.permutation(self.samples).astype(np.int64, copy=False)
            self._order = (epoch, order)
        return order

    def is_at_hand(self, epoch: int | None, count: int) -> bool:
        """Return whether a batch is loaded in less time than it takes to hand it to a thread and back.

        It is small, in memory and without transforms of single samples, and its epoch's order is drawn.
        """
        return (
            self._source.is_in_memory
            and self._pipeline.is_elementwise
            and epoch in {None, self._order[0]}
            and count <= SAMPLES_AT_HAND
            and count * self._values <= VALUES_AT_HAND
        )

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
    ) -> list[Inputs]:
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
        samples: list[Inputs] = []
        with ThreadGenerator(own) if guarded else nullcontext():
            for position in self._positions(epoch, offset, count).tolist():
                if cancelled():
                    break
                samples.append(self._sample(position, epoch or 0, own))
        return samples

    def collate(self, epoch: int | None, offset: int, samples: list[Inputs]) -> Batch:
        """Combine samples that `decode` returned for the same slice to a batch.

        Raises:
            InputError: the samples differ in shape, cannot be transformed, or are not finite.
        """
        positions = self._positions(epoch, offset, len(samples))
        labels = torch.from_numpy(self.labels[positions])
        if not samples:
            return Batch(zeros(self.input_shape, 0, torch.float32), labels)
        inputs = self._pipeline.collate(samples)
        self._check_finite(inputs, positions)
        if self._scaling is not None:
            inputs = self._scaling(inputs)
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

    def _sample(self, position: int, epoch: int, random: torch.Generator) -> Inputs:
        index = int(self._index[position])
        if not self._pipeline.is_random and self.is_thread_safe:
            return self._pipeline.transform(self._source.load(index))
        seed = torch_seed(self._owner.seed, Purpose.AUGMENTATION, epoch, self._client_key, position)
        random.manual_seed(seed)  # for datasets that draw random numbers
        sample = self._source.load(index)
        random.manual_seed(seed)  # v2 transforms use no other generator
        return self._pipeline.transform(sample)

    def _check_finite(self, inputs: Inputs, positions: NDArray[np.int64]) -> None:
        for tensor in tensors_of(inputs):
            row = _non_finite_row(tensor)
            if row is not None:
                raise InputError.at(
                    self._owner.field,
                    f"holds sample {self._index[positions[row]]} (counted from 0), which has values after "
                    "the transforms that are not finite; correct the sample or leave it out",
                )

    def _shape_of(self, index: int) -> InputShape:
        with _restored_random_state():
            sample = self._pipeline.transform(self._source.load(index))
        return shape_of(self._pipeline.collate([sample]))


def _non_finite_row(tensor: Tensor) -> int | None:
    """Return the first row with a value that is not finite; None if all are."""
    if tensor.numel() == 0 or not tensor.is_floating_point():
        return None
    narrow = tensor.float()  # what float32 cannot hold is not finite either
    lowest, highest = torch.aminmax(narrow)
    if math.isfinite(lowest.item()) and math.isfinite(highest.item()):  # NaN if any value is
        return None
    return int(narrow.isfinite().flatten(1).all(dim=1).logical_not().nonzero()[0])


@contextmanager
def _restored_random_state() -> Iterator[None]:
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
