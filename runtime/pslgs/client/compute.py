"""The client part of the network, as the torch thread of a client computes with it."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

from pslgs.data.client_dataset import Batch
from pslgs.model_inputs import rows_of
from pslgs.telemetry.metrics import ClientMetrics
from pslgs.training.client_step import ClientStep
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import floating_tensors, load_vector, slice_rows
from pslgs.transport.codec import TensorCodec, tensor_bytes
from pslgs.transport.v1 import training_pb2 as wire

T = TypeVar("T")


class ClientModel:
    """The client part of the network; decodes what it receives, and returns encoded results."""

    def __init__(
        self, task: TrainingSetup, encoding: TensorCodec, step: ClientStep, metrics: ClientMetrics
    ) -> None:
        self._task = task
        self._encoding = encoding
        self._step = step
        self._metrics = metrics
        self._tensors = floating_tensors(step.part)
        self._elements = sum(tensor.numel() for tensor in self._tensors)
        self._batch = Batch(torch.empty(0), torch.empty(0))
        self._forward_seconds = 0.0
        self._backward_seconds = 0.0

    @property
    def features(self) -> int:
        """Number of features that are standardised separately; 0 without standardisation."""
        return self._task.features

    def parameter_buffer(self) -> torch.Tensor:
        """Return a new vector for the client part's parameters."""
        return torch.empty(self._elements, dtype=self._task.layout.dtype)

    def gradient_buffer(self, rows: int) -> tuple[torch.Tensor, memoryview]:
        """Return a new matrix for ``rows`` rows of cut gradient, and a buffer for its encoded form."""
        gradient = torch.empty((rows, self._task.layout.features), dtype=self._task.layout.dtype)
        return gradient, self._encoding.destination(gradient)

    def slices(self, samples: int) -> list[tuple[int, int]]:
        """Divide a local batch into slices, each as (first sample, number of samples)."""
        return slice_rows(samples, self._task.layout.bytes_per_sample)

    def begin(self, order: wire.Forward, parameters: torch.Tensor, batch: Batch) -> memoryview:
        """Begin a step: load the parameters, keep the local batch, and return its labels."""
        load_vector(self._tensors, parameters)
        self._batch = batch
        self._step.begin(order.epoch, order.offset)
        self._forward_seconds = self._backward_seconds = 0.0
        return self._labels()

    def forward(self, first: int, samples: int) -> memoryview:
        """Run the forward pass of a slice; return its encoded smashed data."""
        inputs = rows_of(self._batch.inputs, first, samples)
        smashed, seconds = _timed(lambda: self._step.forward(inputs))
        self._forward_seconds += seconds
        return self._encoding.encode(smashed)

    def record_forward_time(self) -> None:
        """Record the duration of the forward pass of the local batch, the sum of its slices."""
        self._metrics.observe_forward(self._forward_seconds)

    def backward(self, buffer: memoryview, gradient: torch.Tensor) -> None:
        """Decode the cut gradient of the next slice, and run its backward pass."""
        self._encoding.decode(buffer, gradient)
        _, seconds = _timed(lambda: self._step.backward(gradient))
        self._backward_seconds += seconds

    def finish(self, buffer: memoryview, gradient: torch.Tensor) -> memoryview:
        """Run the backward pass of the last slice; return the gradient of the client part."""
        self.backward(buffer, gradient)
        self._metrics.observe_backward(self._backward_seconds)
        return tensor_bytes(self._step.gradient())

    def load_parameters(self, parameters: torch.Tensor) -> None:
        """Load the parameters that an evaluation uses."""
        load_vector(self._tensors, parameters)

    def begin_evaluation(self, batch: Batch) -> memoryview:
        """Begin a range of an evaluation: keep its batch, and return its labels."""
        self._batch = batch
        return self._labels()

    def evaluate(self, first: int, samples: int) -> memoryview:
        """Run the forward pass of a slice in evaluation mode; return its encoded smashed data."""
        return self._encoding.encode(self._step.evaluate(rows_of(self._batch.inputs, first, samples)))

    def _labels(self) -> memoryview:
        return tensor_bytes(self._task.objective.as_labels(self._batch.labels))


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begun
