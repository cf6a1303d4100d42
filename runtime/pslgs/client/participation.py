"""One order of the server, carried out: a local batch forward and backward, or a range evaluated."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from torch import Tensor

from pslgs.client.worker import Worker
from pslgs.training.torch_thread import TorchThread
from pslgs.wire.channel import Connection
from pslgs.wire.chunks import Assembly
from pslgs.wire.codec import tensor_bytes
from pslgs.wire.errors import ProtocolViolation
from pslgs.wire.v1 import training_pb2 as wire


class Tools(NamedTuple):
    """What orders are carried out with."""

    worker: Worker
    torch: TorchThread
    connection: Connection


class Participation(Protocol):
    """An order being carried out."""

    @property
    def ticket(self) -> tuple[int, int]:
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


class Arrival:
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


async def send_answer(
    tools: Tools,
    ticket: tuple[int, int],
    slices: list[tuple[int, int]],
    begin: Callable[[], memoryview],
    compute: Callable[[int, int], memoryview],
) -> None:
    """Send the labels that ``begin`` returns and the smashed data that ``compute`` returns for each slice.

    A slice is sent while the next one is computed; at most one waits to be sent.
    """
    connection = tools.connection

    def begin_with_first() -> tuple[memoryview, memoryview]:
        return begin(), compute(*slices[0])

    async def send(first: int, samples: int, data: memoryview) -> None:
        await connection.send_tensor(wire.Tensor.SMASHED_DATA, *ticket, first, samples, data)

    async def send_first(labels: memoryview, data: memoryview) -> None:
        await connection.send_tensor(wire.Tensor.LABELS, *ticket, 0, 0, labels)
        await send(*slices[0], data)

    async with asyncio.TaskGroup() as sending:
        task = sending.create_task(send_first(*await tools.torch.run(begin_with_first)))
        for first, samples in slices[1:]:
            data = await tools.torch.run(compute, first, samples)
            await task
            task = sending.create_task(send(first, samples, data))


class StepParticipation(Participation):
    """This client's part in one attempt at a step."""

    def __init__(self, tools: Tools, order: wire.Forward) -> None:
        self._tools = tools
        self._order = order
        self._slices = tools.worker.slices(order.samples)
        buffer = tools.worker.parameter_buffer()
        self._parameters = Arrival(buffer, tensor_bytes(buffer))
        self._gradients = [Arrival(*tools.worker.gradient_buffer(rows)) for _, rows in self._slices]
        self._arrived = 0

    @property
    def ticket(self) -> tuple[int, int]:  # noqa: D102 - see `Participation`
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
        worker, torch = self._tools.worker, self._tools.torch
        await self._parameters.complete()
        begin = partial(worker.begin, self._order, self._parameters.tensor)
        await send_answer(self._tools, self.ticket, self._slices, begin, worker.forward)
        prefetching = torch.submit(worker.prefetch, self._order)
        for arrival in self._gradients[:-1]:
            await arrival.complete()
            await torch.run(worker.backward, arrival.buffer, arrival.tensor)
        last = self._gradients[-1]
        await last.complete()
        data = await torch.run(worker.finish, last.buffer, last.tensor)
        prefetching.result()
        await self._tools.connection.send_tensor(wire.Tensor.CLIENT_GRADIENT, *self.ticket, 0, 0, data)


class EvaluationParticipation(Participation):
    """This client's part in one range of an evaluation."""

    def __init__(self, tools: Tools, order: wire.Evaluate) -> None:
        self._tools = tools
        self._order = order
        buffer = tools.worker.parameter_buffer()
        self._parameters = Arrival(buffer, tensor_bytes(buffer))

    @property
    def ticket(self) -> tuple[int, int]:  # noqa: D102
        return self._order.step, self._order.attempt

    def accept(self, header: wire.Tensor, payload: memoryview) -> None:  # noqa: D102
        if header.kind != wire.Tensor.PARAMETERS or self._order.first:
            raise ProtocolViolation(f"A tensor of kind {header.kind} was not asked for.")
        self._parameters.accept(header, payload)

    async def run(self) -> None:  # noqa: D102
        worker, torch = self._tools.worker, self._tools.torch
        if self._order.first == 0:
            await self._parameters.complete()
            await torch.run(worker.load_parameters, self._parameters.tensor)
        slices = worker.slices(self._order.samples)
        begin = partial(worker.begin_evaluation, self._order)
        await send_answer(self._tools, self.ticket, slices, begin, worker.evaluate)
