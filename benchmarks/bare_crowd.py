"""The floor of `benchmarks.crowd`: a bare grpc.aio server that exchanges messages of the same sizes.

It computes nothing and keeps nothing; its clients, over mutual TLS as well, answer at once.
"""

import asyncio
import multiprocessing
import random
import statistics
import time
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from typing import Any, NamedTuple

import grpc
import grpc.aio
from benchmarks.light_clients import AT_ONCE
from benchmarks.processes import in_own_process, resident_memory
from benchmarks.wire import bare_channel, make_identities

from pslgs.identity.identity import Identity


class Exchanges(NamedTuple):
    """What is exchanged.

    Attributes:
        clients: Number of clients that are connected.
        active: Number of them that take part in a step, others in each.
        steps: Number of steps, of which the first are not measured.
        down: Sizes of the two messages to a client in a step, in bytes.
        up: Sizes of its two answers.
    """

    clients: int
    active: int
    steps: int
    down: tuple[int, int]
    up: tuple[int, int]


class Floor(NamedTuple):
    """What a step takes.

    Attributes:
        seconds: Median.
        cpu_seconds: Of the server process, mean.
        memory: Bytes by which the server process had grown at its end since it began to listen.
    """

    seconds: float
    cpu_seconds: float
    memory: int


WARM_UP = 2


def measure(exchanges: Exchanges) -> Floor:
    """Exchange the messages between two processes."""
    server_identity, client_identity = make_identities()
    pipe, other = multiprocessing.Pipe()
    arguments = (exchanges, server_identity, other)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments)
    process.start()
    in_own_process(_run_clients, exchanges, pipe.recv(), client_identity)
    floor: Floor = pipe.recv()
    process.join()
    return floor


def _serve(exchanges: Exchanges, identity: Identity, pipe: Pipe) -> None:
    asyncio.run(_exchange(exchanges, identity, pipe))


async def _exchange(exchanges: Exchanges, identity: Identity, pipe: Pipe) -> None:
    streams: list[Any] = []
    complete, finished = asyncio.Event(), asyncio.Event()

    async def attend(_requests: object, stream: Any) -> None:  # noqa: ANN401 - grpc.aio has no types
        streams.append(stream)
        if len(streams) == exchanges.clients:
            complete.set()
        await finished.wait()

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(attend)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", {"Attend": handler}),))
    pair = (identity.private_key_pem, identity.certificate_pem)
    credentials = grpc.ssl_server_credentials([pair], identity.ca_pem, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    before = resident_memory()
    pipe.send(port)
    await complete.wait()
    draw = random.Random(0)  # noqa: S311 - not for cryptography
    times, busy = [], []
    for _ in range(exchanges.steps):
        times.append(time.perf_counter())
        busy.append(time.process_time())
        active = draw.sample(streams, exchanges.active)
        for size in exchanges.down:
            message = bytes(size)
            await asyncio.gather(*(_ask(stream, message) for stream in active))
    counted = pairwise(times[WARM_UP:])
    seconds = statistics.median(later - earlier for earlier, later in counted)
    cpu_seconds = (busy[-1] - busy[WARM_UP]) / (len(busy) - WARM_UP - 1)
    pipe.send(Floor(seconds, cpu_seconds, resident_memory() - before))
    finished.set()
    await server.stop(60.0)  # thousands of streams take a while to end


async def _ask(stream: Any, message: bytes) -> None:  # noqa: ANN401
    await stream.write(message)
    await stream.read()


def _run_clients(exchanges: Exchanges, port: int, identity: Identity) -> None:
    asyncio.run(_answer(exchanges, port, identity))


async def _answer(exchanges: Exchanges, port: int, identity: Identity) -> None:
    answers = [bytes(size) for size in exchanges.up]
    connecting = asyncio.Semaphore(AT_ONCE)

    async def take_part() -> None:
        async with bare_channel(port, identity) as channel:
            async with connecting:
                await channel.channel_ready()
            stream = channel.stream_stream("/bare/Attend")()
            while True:
                for answer in answers:
                    if await stream.read() is grpc.aio.EOF:
                        return
                    await stream.write(answer)

    await asyncio.gather(*(take_part() for _ in range(exchanges.clients)))
