"""What a client computes; every method is called in the torch thread."""

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

from pslgs.data.local import Batch, LocalDataset
from pslgs.data.prefetch import BatchCache
from pslgs.observability.metrics import ClientMetrics
from pslgs.training.client_step import ClientStep
from pslgs.training.slices import slice_rows
from pslgs.training.task import Task
from pslgs.training.vectors import gradient_elements, load_vector, parameter_elements
from pslgs.wire.codec import TensorCodec, tensor_bytes
from pslgs.wire.v1 import training_pb2 as wire

T = TypeVar("T")


class Holdings(NamedTuple):
    """The samples of a client."""

    training: LocalDataset
    evaluation: LocalDataset | None


class Worker:
    """One client's data and its client part, with the tensors as they travel."""

    def __init__(
        self,
        task: Task,
        encoding: TensorCodec,
        step: ClientStep,
        held: Holdings,
        metrics: ClientMetrics,
    ) -> None:
        self._task = task
        self._encoding = encoding
        self._step = step
        self._training = BatchCache(held.training)
        self._evaluation = held.evaluation
        self._metrics = metrics
        self._batch = Batch(torch.empty(0), torch.empty(0))
        self._forward_seconds = 0.0
        self._backward_seconds = 0.0

    def parameter_buffer(self) -> torch.Tensor:
        """Return a new vector to receive the client part's parameters in."""
        elements = parameter_elements(self._step.part)
        return torch.empty(elements, dtype=self._task.layout.dtype)

    def gradient_buffer(self, rows: int) -> tuple[torch.Tensor, memoryview]:
        """Return a new matrix for ``rows`` rows of cut gradient, and the memory to receive it in."""
        gradient = torch.empty((rows, self._task.layout.features), dtype=self._task.layout.dtype)
        return gradient, self._encoding.destination(gradient)

    def gradient_bytes(self) -> int:
        """Count the bytes of the client part's gradient."""
        return gradient_elements(self._step.part) * self._task.layout.dtype.itemsize

    def slices(self, samples: int) -> list[tuple[int, int]]:
        """Cut a local batch into slices, (first, samples) each."""
        return slice_rows(samples, self._task.layout.bytes_per_sample)

    def begin(self, order: wire.Forward, parameters: torch.Tensor) -> memoryview:
        """Take over the parameters and load the local batch; return its labels."""
        load_vector(self._step.part, parameters)
        self._batch = self._training.take(order.epoch, order.offset, order.samples)
        self._metrics.load(self._training.load_seconds)
        self._step.begin(order.epoch, order.offset)
        self._forward_seconds = self._backward_seconds = 0.0
        return tensor_bytes(self._task.objective.as_labels(self._batch.labels))

    def forward(self, first: int, samples: int) -> memoryview:
        """Return a slice's smashed data."""
        inputs = self._batch.inputs[first : first + samples]
        smashed, seconds = _timed(lambda: self._step.forward(inputs))
        self._forward_seconds += seconds
        return self._encoding.encode(smashed)

    def prefetch(self, order: wire.Forward) -> None:
        """Load what the schedule says comes next, if anything does."""
        self._metrics.forward(self._forward_seconds)
        if order.next_samples:
            self._training.prefetch(order.epoch, order.next_offset, order.next_samples)
            self._metrics.load(self._training.load_seconds)

    def backward(self, buffer: memoryview, gradient: torch.Tensor) -> None:
        """Take the next slice's cut gradient."""
        self._encoding.decode(buffer, gradient)
        _, seconds = _timed(lambda: self._step.backward(gradient))
        self._backward_seconds += seconds

    def finish(self, buffer: memoryview, gradient: torch.Tensor) -> memoryview:
        """Take the last slice's cut gradient; return the client part's gradient."""
        self.backward(buffer, gradient)
        self._metrics.backward(self._backward_seconds)
        return tensor_bytes(self._step.gradient())

    def load_parameters(self, parameters: torch.Tensor) -> None:
        """Take over the parameters for an evaluation."""
        load_vector(self._step.part, parameters)

    def begin_evaluation(self, order: wire.Evaluate) -> memoryview:
        """Load a range of the evaluation data; return its labels.

        Raises:
            LookupError: this client has no evaluation data.
        """
        if self._evaluation is None:
            raise LookupError("this client has no evaluation data")
        self._batch = self._evaluation.in_order(order.first, order.samples)
        return tensor_bytes(self._task.objective.as_labels(self._batch.labels))

    def evaluate(self, first: int, samples: int) -> memoryview:
        """Return a slice's smashed data, in evaluation mode."""
        return self._encoding.encode(self._step.evaluate(self._batch.inputs[first : first + samples]))


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begun
