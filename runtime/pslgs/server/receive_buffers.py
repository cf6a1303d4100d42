"""Buffers into which the tensors of one exchange are received."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from pslgs.coordination.messages import ExchangeId, LocalBatch
from pslgs.server.context import ServerContext
from pslgs.training.objective import Objective
from pslgs.training.tensors import slice_rows
from pslgs.transport.codec import tensor_bytes
from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.messages import Assembly
from pslgs.transport.v1 import training_pb2 as wire


class ClientBuffers:
    """One client's answers in an exchange: its labels, its smashed data slice by slice, its gradient."""

    def __init__(
        self,
        labels: memoryview,
        check_labels: Callable[[], None],
        smashed: memoryview,
        slices: Sequence[tuple[int, int]],
    ) -> None:
        """Receive one local batch.

        Args:
            labels: Buffer for its labels.
            check_labels: Called once they are complete; raises `ProtocolViolation` if they cannot be used.
            smashed: Buffer for its encoded smashed data.
            slices: Position of the first sample, and number of samples, of each slice.
        """
        self._labels = Assembly(labels)
        self._labels_complete = False
        self._check_labels = check_labels
        self._smashed = smashed
        self._slices = slices
        self._complete_slices = 0
        self._slice: Assembly | None = None
        self._gradient: Assembly | None = None

    def receive(self, header: wire.Tensor, payload: memoryview) -> bool:
        """Receive a chunk; return whether it completed the smashed data or the gradient.

        Raises:
            ProtocolViolation: the chunk is out of order.
        """
        match header.kind:
            case wire.Tensor.LABELS:
                if self._labels.accept(header.offset, payload):
                    self._labels_complete = True
                    self._check_labels()
            case wire.Tensor.SMASHED_DATA:
                return self._receive_smashed(header, payload)
            case wire.Tensor.CLIENT_GRADIENT if self._gradient is not None:
                return self._gradient.accept(header.offset, payload)
            case _:
                raise ProtocolViolation(f"A tensor of kind {header.kind} was not asked for.")
        return False

    def expect_gradient(self, gradient: memoryview) -> None:
        """Expect the client's gradient from now on, and receive it into a buffer."""
        self._gradient = Assembly(gradient)

    def _receive_smashed(self, header: wire.Tensor, payload: memoryview) -> bool:
        if self._complete_slices == len(self._slices):
            raise ProtocolViolation("Smashed data came after all of the local batch.")
        first, samples = self._slices[self._complete_slices]
        if not self._labels_complete or (header.first, header.samples) != (first, samples):
            raise ProtocolViolation(
                f"Smashed data of {header.samples} samples from {header.first} on came where those from "
                f"{first} on were due, after the labels."
            )
        if self._slice is None:
            last, count = self._slices[-1]
            self._slice = Assembly(rows_of(self._smashed, first, samples, last + count))
        if not self._slice.accept(header.offset, payload):
            return False
        self._slice = None
        self._complete_slices += 1
        return self._complete_slices == len(self._slices)


class StepBuffers:
    """The answers of all clients to one exchange.

    Attributes:
        exchange: The exchange.
        local_batches: The expected local batches, in the order of their rows.
        smashed: Smashed data of the whole global batch; shape (B, features).
        labels: Labels of the whole global batch; shape (B, label width).
    """

    def __init__(
        self, context: ServerContext, exchange: ExchangeId, local_batches: Iterable[LocalBatch]
    ) -> None:
        self.exchange = exchange
        self.local_batches = tuple(local_batches)
        task, model = context.task, context.model
        self._task, self._encoding = task, context.encoding
        total = sum(local_batch.samples for local_batch in self.local_batches)
        self.smashed = model.empty((total, task.layout.features), task.layout.dtype)
        self.labels = model.empty((total, task.objective.label_width), task.objective.label_dtype)
        self._encoded = self._encoding.destination(self.smashed)
        self._gradients: Tensor | None = None
        self._clients = dict(self._divide())

    def client(self, name: str) -> ClientBuffers | None:
        """Return the buffers of a client; None if no answer is expected of it."""
        return self._clients.get(name)

    def expect_gradients(self) -> None:
        """Expect every client's gradient from now on."""
        shape = len(self._clients), self._task.client_gradient_elements
        self._gradients = torch.empty(shape, dtype=self._task.layout.dtype)
        whole = tensor_bytes(self._gradients)
        for number, client in enumerate(self._clients.values()):
            client.expect_gradient(rows_of(whole, number, 1, len(self._clients)))

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients by client, in the order of the local batches; they must be complete.

        Raises:
            LookupError: they were not expected.
        """
        if self._gradients is None:
            raise LookupError("no gradients were asked for")
        return dict(zip(self._clients, self._gradients, strict=True))

    def rows(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the smashed data and the labels by client, as views."""
        samples = [local_batch.samples for local_batch in self.local_batches]
        smashed, labels = (
            dict(zip(self._clients, torch.split(tensor, samples), strict=True))
            for tensor in (self.smashed, self.labels)
        )
        return smashed, labels

    def decode(self) -> None:
        """Decode all smashed data into place; they must be complete."""
        self._encoding.decode(self._encoded, self.smashed)

    def _divide(self) -> Iterator[tuple[str, ClientBuffers]]:
        labels, total, first = tensor_bytes(self.labels), len(self.labels), 0
        for local_batch in self.local_batches:
            samples = local_batch.samples
            yield (
                local_batch.client,
                ClientBuffers(
                    rows_of(labels, first, samples, total),
                    partial(_check_labels, self._task.objective, self.labels[first : first + samples]),
                    rows_of(self._encoded, first, samples, total),
                    slice_rows(samples, self._task.layout.bytes_per_sample),
                ),
            )
            first += samples


def _check_labels(objective: Objective, labels: Tensor) -> None:
    violation = objective.range_violation(labels)
    if violation:
        raise ProtocolViolation(f"The local batch {violation}.")


def rows_of(buffer: memoryview, first: int, count: int, total: int) -> memoryview:
    """Return the bytes of ``count`` rows from ``first`` on, of a buffer of ``total`` rows of equal sizes."""
    of_row = len(buffer) // total
    return buffer[first * of_row : (first + count) * of_row]
