"""Clients that speak the protocol and compute nothing, any number of them in one process, without torch."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from pslgs.identity.identity import Identity
from pslgs.transport.client_connection import connect
from pslgs.transport.messages import tensor_frames
from pslgs.transport.stream import Stream
from pslgs.transport.v1.training_pb2 import Forward, Hello, Tensor

AT_ONCE = 64
"""Connections that are opened at the same time: the handshakes of all clients share one core."""

PATIENCE_SECONDS = 600.0


class Sizes(NamedTuple):
    """Sizes of what a client receives and sends, in bytes.

    Attributes:
        parameters: Of the client part, which has no buffers.
        row: Of a sample's smashed data.
        label: Of a sample's label.
    """

    parameters: int
    row: int
    label: int


class LightClient(NamedTuple):
    """A client.

    Attributes:
        identity: For mutual TLS.
        hello: Its first message.
    """

    identity: Identity
    hello: Hello


def run(address: str, clients: Sequence[LightClient], sizes: Sizes) -> float:
    """Train to the end; see `train`."""
    return asyncio.run(train(address, clients, sizes))


async def train(address: str, clients: Sequence[LightClient], sizes: Sizes) -> float:
    """Train to the end; return the seconds from the first connection until all clients were welcome."""
    places, begun, welcome = asyncio.Semaphore(AT_ONCE), time.perf_counter(), list[float]()

    async def take_part(client: LightClient) -> None:
        rng = random.Random(client.hello.client_id)  # noqa: S311 - spreads attempts, protects nothing
        async with AsyncExitStack() as stack:
            async with places:
                connecting = connect(
                    address, lambda: client.identity, client.hello, timeout_seconds=PATIENCE_SECONDS, rng=rng
                )
                stream = await stack.enter_async_context(connecting)
                await stream.receive()
            welcome.append(time.perf_counter())
            await _execute_orders(stream, sizes)

    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(take_part(client))
    return max(welcome) - begun


async def _execute_orders(stream: Stream, sizes: Sizes) -> None:
    order, missing = Forward(), 0
    while True:
        frame = await stream.receive()
        header = frame.header
        match header.WhichOneof("body"):
            case "forward":
                order, missing = header.forward, sizes.parameters
            case "tensor":
                missing -= len(frame.payload)
                if missing == 0 and header.tensor.kind == Tensor.PARAMETERS:
                    _send(stream, Tensor.LABELS, order, 0, order.samples * sizes.label)
                    missing = order.samples * sizes.row
                    _send(stream, Tensor.SMASHED_DATA, order, order.samples, missing)
                elif missing == 0:
                    _send(stream, Tensor.CLIENT_GRADIENT, order, 0, sizes.parameters)
            case "finish":
                return


def _send(stream: Stream, kind: Tensor.Kind, order: Forward, samples: int, size: int) -> None:
    """Send zeros: a label that every task has, and numbers that change nothing."""
    zeros = memoryview(bytes(size))
    stream.post(tensor_frames(kind, order.step, order.attempt, 0, samples, zeros))
