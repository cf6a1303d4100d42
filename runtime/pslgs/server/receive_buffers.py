"""Buffers into which the tensors of one exchange are received."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pslgs.coordination.messages import ExchangeId, LocalBatch
from pslgs.server.context import ServerContext
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import slice_rows
from pslgs.transport import codec
from pslgs.transport.codec import TensorCodec
from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.messages import Assembly
from pslgs.transport.v1 import training_pb2 as wire


@dataclass(slots=True)
class _Slice:
    """A slice of smashed data that is being received."""

    first: int
    rows: Tensor
    buffer: memoryview
    assembly: Assembly


class ClientBuffers:
    """One client's answers in an exchange: its labels, its smashed data slice by slice, its gradient."""

    def __init__(self, task: TrainingSetup, encoding: TensorCodec, smashed: Tensor, labels: Tensor) -> None:
        """Receive into ``smashed`` (rows, features) and ``labels`` (rows, label width)."""
        self._task = task
        self._encoding = encoding
        self._smashed = smashed
        self._labels = labels
        self._label_assembly = Assembly(codec.tensor_bytes(labels))
        self._labels_complete = False
        self._slices = slice_rows(len(smashed), task.layout.bytes_per_sample)
        self._received: list[_Slice] = []
        self._current: _Slice | None = None
        self._gradient: Tensor | None = None
        self._gradient_assembly: Assembly | None = None

    def receive(self, header: wire.Tensor, payload: memoryview) -> bool:
        """Receive a chunk; return whether it completed the smashed data or the gradient.

        Raises:
            ProtocolViolation: the chunk is out of order.
        """
        match header.kind:
            case wire.Tensor.LABELS:
                if self._label_assembly.accept(header.offset, payload):
                    self._check_labels()
            case wire.Tensor.SMASHED_DATA:
                return self._receive_smashed(header, payload)
            case wire.Tensor.CLIENT_GRADIENT if self._gradient_assembly is not None:
                return self._gradient_assembly.accept(header.offset, payload)
            case _:
                raise ProtocolViolation(f"A tensor of kind {header.kind} was not asked for.")
        return False

    def expect_gradient(self) -> None:
        """Expect the client's gradient from now on."""
        self._gradient = torch.empty(self._task.client_gradient_elements, dtype=self._task.layout.dtype)
        self._gradient_assembly = Assembly(codec.tensor_bytes(self._gradient))

    def gradient(self) -> Tensor:
        """Return the gradient, a vector; it must be complete.

        Raises:
            LookupError: it was not expected.
        """
        if self._gradient is None:
            raise LookupError("no gradient was asked for")
        return self._gradient

    def decode(self) -> None:
        """Decode the received slices into their rows."""
        for received in self._received:
            self._encoding.decode(received.buffer, received.rows)
        self._received.clear()

    def _receive_smashed(self, header: wire.Tensor, payload: memoryview) -> bool:
        current = self._current or self._next_slice()
        if not self._labels_complete or (header.first, header.samples) != (
            current.first,
            len(current.rows),
        ):
            raise ProtocolViolation(
                f"Smashed data of {header.samples} samples from {header.first} on came where those from "
                f"{current.first} on were due, after the labels."
            )
        self._current = current
        if current.assembly.accept(header.offset, payload):
            self._received.append(current)
            self._current = None
            return not self._slices
        return False

    def _next_slice(self) -> _Slice:
        if not self._slices:
            raise ProtocolViolation("Smashed data came after all of the local batch.")
        first, count = self._slices.pop(0)
        rows = self._smashed[first : first + count]
        buffer = self._encoding.destination(rows)
        return _Slice(first, rows, buffer, Assembly(buffer))

    def _check_labels(self) -> None:
        self._labels_complete = True
        violation = self._task.objective.range_violation(self._labels)
        if violation:
            raise ProtocolViolation(f"The local batch {violation}.")


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
        total = sum(local_batch.samples for local_batch in self.local_batches)
        objective, layout = context.task.objective, context.task.layout
        self.smashed = context.model.empty((total, layout.features), layout.dtype)
        self.labels = context.model.empty((total, objective.label_width), objective.label_dtype)
        sizes = [local_batch.samples for local_batch in self.local_batches]
        rows = zip(torch.split(self.smashed, sizes), torch.split(self.labels, sizes), strict=True)
        self._clients = {
            local_batch.client: ClientBuffers(context.task, context.encoding, smashed, labels)
            for local_batch, (smashed, labels) in zip(self.local_batches, rows, strict=True)
        }

    def client(self, name: str) -> ClientBuffers | None:
        """Return the buffers of a client; None if no answer is expected of it."""
        return self._clients.get(name)

    def expect_gradients(self) -> None:
        """Expect every client's gradient from now on."""
        for client in self._clients.values():
            client.expect_gradient()

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients by client, in the order of the local batches."""
        return {
            local_batch.client: self._clients[local_batch.client].gradient()
            for local_batch in self.local_batches
        }

    def rows(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the smashed data and the labels by client, as views."""
        names, sizes = (
            [local_batch.client for local_batch in self.local_batches],
            [local_batch.samples for local_batch in self.local_batches],
        )
        smashed, labels = (
            dict(zip(names, torch.split(tensor, sizes), strict=True))
            for tensor in (self.smashed, self.labels)
        )
        return smashed, labels

    def decode(self) -> None:
        """Decode all smashed data into place."""
        for client in self._clients.values():
            client.decode()
