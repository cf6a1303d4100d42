"""Tasks of a client: a local batch forward and backward, or a range of evaluation samples."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from torch import Tensor

from pslgs.client.compute import ClientModel
from pslgs.client.loading import LocalData, Prefetcher
from pslgs.training.torch_thread import TorchThread
from pslgs.transport.codec import tensor_bytes
from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.messages import Assembly
from pslgs.transport.stream import Stream
from pslgs.transport.v1 import training_pb2 as wire


class ClientContext(NamedTuple):
    """What orders are carried out with."""

    data: LocalData
    model: ClientModel
    torch: TorchThread
    connection: Stream


class OrderTask(Protocol):
    """An order being carried out."""

    @property
    def exchange(self) -> tuple[int, int]:
        """Step and attempt of the order."""
        ...

    def accept(self, header: wire.Tensor, payload: memoryview) -> None:
        """Take in a chunk.

        Raises:
            ProtocolViolation: it is not what comes next.
        """
        ...

    async def run(self) -> None:
        """Carry it out.

        Raises:
            InputError: a sample is damaged.
            StreamEnded: the stream is over.
        """
        ...


class IncomingTensor:
    """A tensor on its way in."""

    def __init__(self, tensor: Tensor, buffer: memoryview) -> None:
        self.tensor = tensor
        self.buffer = buffer
        self._assembly = Assembly(buffer)
        self._complete = asyncio.Event()

    def accept(self, header: wire.Tensor, payload: memoryview) -> bool:
        """Take in a chunk; tell whether the tensor is complete."""
        if self._assembly.accept(header.offset, payload):
            self._complete.set()
        return self._complete.is_set()

    async def complete(self) -> None:
        """Wait until the tensor is complete."""
        await self._complete.wait()


class Answer(NamedTuple):
    """How the answer to an order is computed; all but ``computed`` is called in the torch thread.

    Attributes:
        slices: The slices of the batch, (first, samples) each; at least one.
        begin: Called first; returns the labels of the batch.
        compute: Returns the smashed data of a slice, given its first sample and number of samples.
        computed: Called when nothing is left to compute, before the last slice is sent.
    """

    slices: list[tuple[int, int]]
    begin: Callable[[], memoryview]
    compute: Callable[[int, int], memoryview]
    computed: Callable[[], None]


async def send_answer(context: ClientContext, exchange: tuple[int, int], answer: Answer) -> None:
    """Send labels and smashed data; a slice is sent while the next is computed, and at most one waits."""
    connection = context.connection
    begin, compute, slices = answer.begin, answer.compute, answer.slices

    def begin_with_first() -> tuple[memoryview, memoryview]:
        return begin(), compute(*slices[0])

    async def send(first: int, samples: int, data: memoryview) -> None:
        await connection.send_tensor(wire.Tensor.SMASHED_DATA, *exchange, first, samples, data)

    async def send_first(labels: memoryview, data: memoryview) -> None:
        await connection.send_tensor(wire.Tensor.LABELS, *exchange, 0, 0, labels)
        await send(*slices[0], data)

    async with asyncio.TaskGroup() as sending:
        task = sending.create_task(send_first(*await context.torch.run(begin_with_first)))
        for first, samples in slices[1:]:
            data = await context.torch.run(compute, first, samples)
            await task
            task = sending.create_task(send(first, samples, data))
        answer.computed()


class StepTask(OrderTask):
    """This client's part in one attempt at a step."""

    def __init__(self, context: ClientContext, order: wire.Forward) -> None:
        """Allocate memory for what the server sends.

        Raises:
            ProtocolViolation: the order is for samples that this client does not hold.
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

    def accept(self, header: wire.Tensor, payload: memoryview) -> None:  # noqa: D102
        if header.kind == wire.Tensor.PARAMETERS:
            self._parameters.accept(header, payload)
        elif header.kind == wire.Tensor.CUT_GRADIENT and self._arrived < len(self._gradients):
            if (header.first, header.samples) != self._slices[self._arrived]:
                raise ProtocolViolation("A slice of the cut gradient came out of order.")
            self._arrived += self._gradients[self._arrived].accept(header, payload)
        else:
            raise ProtocolViolation(f"A tensor of kind {header.kind} was not asked for.")

    async def run(self) -> None:  # noqa: D102
        data, model, torch, connection = self._context
        order = self._order
        if data.evaluation is not None:
            data.evaluation.drop()  # an evaluation that was broken off may have left a batch
        async with asyncio.TaskGroup() as both:
            loading = both.create_task(data.training.take(order.epoch, order.offset, order.samples))
            await self._parameters.complete()
        begin = partial(model.begin, order, self._parameters.tensor, loading.result())
        answer = Answer(self._slices, begin, model.forward, self._computed)
        await send_answer(self._context, self.exchange, answer)
        for arrival in self._gradients[:-1]:
            await arrival.complete()
            await torch.run(model.backward, arrival.buffer, arrival.tensor)
        last = self._gradients[-1]
        await last.complete()
        gradient = await torch.run(model.finish, last.buffer, last.tensor)
        await connection.send_tensor(wire.Tensor.CLIENT_GRADIENT, *self.exchange, 0, 0, gradient)

    def _computed(self) -> None:
        self._context.model.observe_forward()
        order = self._order
        if order.next_samples:
            self._context.data.training.prefetch(order.epoch, order.next_offset, order.next_samples)


class EvaluationTask(OrderTask):
    """This client's part in one range of an evaluation."""

    def __init__(self, context: ClientContext, order: wire.Evaluate) -> None:
        """Allocate memory for what the server sends.

        Raises:
            ProtocolViolation: the order is for samples that this client does not hold.
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

    def accept(self, header: wire.Tensor, payload: memoryview) -> None:  # noqa: D102
        if header.kind != wire.Tensor.PARAMETERS or self._order.first:
            raise ProtocolViolation(f"A tensor of kind {header.kind} was not asked for.")
        self._parameters.accept(header, payload)

    async def run(self) -> None:  # noqa: D102
        model, torch, order = self._context.model, self._context.torch, self._order
        async with asyncio.TaskGroup() as both:
            loading = both.create_task(self._data.take(None, order.first, order.samples))
            if order.first == 0:
                await self._parameters.complete()
                await torch.run(model.load_parameters, self._parameters.tensor)
        slices = model.slices(order.samples)
        begin = partial(model.begin_evaluation, loading.result())
        answer = Answer(slices, begin, model.evaluate, self._computed)
        await send_answer(self._context, self.exchange, answer)

    def _computed(self) -> None:
        following = self._order.first + self._order.samples
        remaining = self._data.samples - following
        if remaining:
            self._data.prefetch(None, following, min(self._order.samples, remaining))


def _check_range(data: Prefetcher, first: int, samples: int, *, least: int = 1) -> None:
    """Refuse an order for samples that are not there, before any memory is taken for it."""
    if samples < least or first + samples > data.samples:
        raise ProtocolViolation(
            f"An order is for {samples} samples from {first} on, of a client that holds {data.samples}."
        )
