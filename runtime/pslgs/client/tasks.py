"""Execution of the server's orders: a training step on a local batch, or a range of an evaluation."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from pslgs.client.compute import ClientModel
from pslgs.client.loading import LocalData, Prefetcher
from pslgs.data.client_dataset import Batch
from pslgs.training.torch_thread import TorchThread
from pslgs.transport.codec import tensor_bytes
from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.messages import Assembly, tensor_frames
from pslgs.transport.stream import Stream
from pslgs.transport.v1 import training_pb2 as wire


class ClientContext(NamedTuple):
    """The objects that orders are executed with."""

    data: LocalData
    model: ClientModel
    torch: TorchThread
    connection: Stream


class OrderTask(Protocol):
    """The execution of an order."""

    @property
    def exchange(self) -> tuple[int, int]:
        """Step and attempt of the order."""
        ...

    def receive(self, header: wire.Tensor, payload: memoryview) -> None:
        """Handle a received chunk of a tensor.

        Raises:
            ProtocolViolation: the chunk is not the expected one.
        """
        ...

    async def run(self) -> None:
        """Execute the order and send the results.

        Raises:
            InputError: a sample is damaged.
            StreamEnded: the stream has ended.
        """
        ...


class IncomingTensor:
    """A tensor that is being received.

    Attributes:
        tensor: Memory for the decoded tensor.
        buffer: The encoded tensor, as far as it has been received.
    """

    def __init__(self, tensor: Tensor, buffer: memoryview) -> None:
        self.tensor = tensor
        self.buffer = buffer
        self._assembly = Assembly(buffer)
        self._complete = asyncio.Event()

    def receive(self, header: wire.Tensor, payload: memoryview) -> bool:
        """Store a received chunk; return whether the tensor is complete."""
        if self._assembly.accept(header.offset, payload):
            self._complete.set()
        return self._complete.is_set()

    async def wait(self) -> None:
        """Wait until the tensor is complete."""
        await self._complete.wait()


class AnswerComputation(NamedTuple):
    """Functions that compute the answer to an order; all but ``on_computed`` run in the torch thread.

    Attributes:
        slices: The slices of the batch, each as (first sample, number of samples); at least one.
        begin: Begins the computation; returns the labels of the batch.
        compute: Returns the smashed data of a slice, given its first sample and number of samples.
        on_computed: Called in the event loop after the last slice was computed and before it is sent.
    """

    slices: list[tuple[int, int]]
    begin: Callable[[], memoryview]
    compute: Callable[[int, int], memoryview]
    on_computed: Callable[[], None]


async def send_answer(context: ClientContext, exchange: tuple[int, int], answer: AnswerComputation) -> None:
    """Compute and send labels and smashed data; each slice is sent while the next one is computed."""
    connection = context.connection
    begin, compute, slices = answer.begin, answer.compute, answer.slices

    def begin_with_first() -> tuple[memoryview, memoryview]:
        return begin(), compute(*slices[0])

    async def send(first: int, samples: int, data: memoryview) -> None:
        await connection.send(tensor_frames(wire.Tensor.SMASHED_DATA, *exchange, first, samples, data))

    async def send_first(labels: memoryview, data: memoryview) -> None:
        connection.post(tensor_frames(wire.Tensor.LABELS, *exchange, 0, 0, labels))
        await send(*slices[0], data)

    sending = send_first(*await context.torch.compute(begin_with_first))
    async with asyncio.TaskGroup() as tasks:
        for first, samples in slices[1:]:
            task = tasks.create_task(sending)
            data = await context.torch.compute(compute, first, samples)
            await task
            sending = send(first, samples, data)
        answer.on_computed()
        await sending  # without a task, which takes as long as sending a small slice


class StepTask(OrderTask):
    """Execution of a forward order: one attempt at a training step on a local batch."""

    def __init__(self, context: ClientContext, order: wire.Forward) -> None:
        """Allocate memory for the tensors that the server sends.

        Raises:
            ProtocolViolation: the client does not have the ordered samples.
        """
        _check_range(context.data.training, order.offset, order.samples)
        _check_range(context.data.training, order.next_offset, order.next_samples, least=0)
        self._context = context
        self._order = order
        self._slices = context.model.slices(order.samples)
        buffer = context.model.parameter_buffer()
        self._parameters = IncomingTensor(buffer, tensor_bytes(buffer))
        self._gradients = [IncomingTensor(*context.model.gradient_buffer(rows)) for _, rows in self._slices]
        self._arrived = 0

    @property
    def exchange(self) -> tuple[int, int]:  # noqa: D102 - see `OrderTask`
        return self._order.step, self._order.attempt

    def receive(self, header: wire.Tensor, payload: memoryview) -> None:  # noqa: D102
        if header.kind == wire.Tensor.PARAMETERS:
            self._parameters.receive(header, payload)
        elif header.kind == wire.Tensor.CUT_GRADIENT and self._arrived < len(self._gradients):
            if (header.first, header.samples) != self._slices[self._arrived]:
                raise ProtocolViolation("A slice of the cut gradient came out of order.")
            self._arrived += self._gradients[self._arrived].receive(header, payload)
        else:
            raise ProtocolViolation(f"A tensor of kind {header.kind} was not asked for.")

    async def run(self) -> None:  # noqa: D102
        data, model, torch, connection = self._context
        order = self._order
        if data.evaluation is not None:
            data.evaluation.discard()  # an aborted evaluation may have left a prefetched batch
        wanted = order.epoch, order.offset, order.samples
        batch = await _take_during(self._parameters.wait, data.training, wanted)
        begin = partial(model.begin, order, self._parameters.tensor, batch)
        answer = AnswerComputation(self._slices, begin, model.forward, self._on_computed)
        await send_answer(self._context, self.exchange, answer)
        for gradient in self._gradients[:-1]:
            await gradient.wait()
            await torch.compute(model.backward, gradient.buffer, gradient.tensor)
        last = self._gradients[-1]
        await last.wait()
        client_gradient = await torch.compute(model.finish, last.buffer, last.tensor)
        await connection.send(
            tensor_frames(wire.Tensor.CLIENT_GRADIENT, *self.exchange, 0, 0, client_gradient)
        )

    def _on_computed(self) -> None:
        self._context.model.record_forward_time()
        order = self._order
        if order.next_samples:
            self._context.data.training.prefetch(order.epoch, order.next_offset, order.next_samples)


class EvaluationTask(OrderTask):
    """Execution of an evaluation order: the forward pass of one range of the evaluation data."""

    def __init__(self, context: ClientContext, order: wire.Evaluate) -> None:
        """Allocate memory for the tensors that the server sends.

        Raises:
            ProtocolViolation: the client does not have the ordered samples.
        """
        if context.data.evaluation is None:
            raise ProtocolViolation("An evaluation was ordered of a client without evaluation samples.")
        _check_range(context.data.evaluation, order.first, order.samples)
        self._context = context
        self._data = context.data.evaluation
        self._order = order
        buffer = context.model.parameter_buffer()
        self._parameters = IncomingTensor(buffer, tensor_bytes(buffer))

    @property
    def exchange(self) -> tuple[int, int]:  # noqa: D102
        return self._order.step, self._order.attempt

    def receive(self, header: wire.Tensor, payload: memoryview) -> None:  # noqa: D102
        if header.kind != wire.Tensor.PARAMETERS or self._order.first:
            raise ProtocolViolation(f"A tensor of kind {header.kind} was not asked for.")
        self._parameters.receive(header, payload)

    async def run(self) -> None:  # noqa: D102
        model, order = self._context.model, self._order
        batch = await _take_during(self._load_parameters, self._data, (None, order.first, order.samples))
        slices = model.slices(order.samples)
        begin = partial(model.begin_evaluation, batch)
        answer = AnswerComputation(slices, begin, model.evaluate, self._on_computed)
        await send_answer(self._context, self.exchange, answer)

    async def _load_parameters(self) -> None:
        if self._order.first == 0:
            await self._parameters.wait()
            await self._context.torch.run(self._context.model.load_parameters, self._parameters.tensor)

    def _on_computed(self) -> None:
        following = self._order.first + self._order.samples
        remaining = self._data.samples - following
        if remaining:
            self._data.prefetch(None, following, min(self._order.samples, remaining))


async def _take_during(
    waiting: Callable[[], Coroutine[Any, Any, None]], data: Prefetcher, wanted: tuple[int | None, int, int]
) -> Batch:
    """Wait, and load a batch meanwhile; an error of loading ends the wait.

    A batch that is loaded is taken without a task, which takes as long as a small step.
    """
    if data.is_loaded(*wanted):
        batch = await data.take(*wanted)
        await waiting()
        return batch
    async with asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(data.take(*wanted))
        await waiting()
    return loading.result()


def _check_range(data: Prefetcher, first: int, samples: int, *, least: int = 1) -> None:
    """Check that a dataset has the ordered samples, before memory is allocated for the order.

    Raises:
        ProtocolViolation: it does not, or fewer than ``least`` samples are ordered.
    """
    if samples < least or first + samples > data.samples:
        raise ProtocolViolation(
            f"An order is for {samples} samples from {first} on, of a client that holds {data.samples}."
        )
