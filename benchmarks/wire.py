"""Our wire against a bare grpc.aio stream: the same bytes over loopback between two processes.

    python -m benchmarks --only wire

Both move tensors of 33.5 MB (a global batch of 128 samples of smashed data, 64 x 32 x 32 float32) up and
then down, in messages of 1 MiB.  The bare stream sends one buffer over and over and drops what it gets;
ours encodes frames from a tensor's memory and assembles them in another tensor's.  They alternate, so
that both meet the same machine.
"""

import asyncio
import multiprocessing
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from typing import Any

import grpc
import grpc.aio
import torch

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import Identity, IdentitySource
from pslgs.transport.client_connection import connect
from pslgs.transport.codec import codec_for
from pslgs.transport.grpc_server import GrpcServer, Session
from pslgs.transport.messages import Assembly, control_frame, tensor_frames
from pslgs.transport.settings import CHUNK_BYTES, MESSAGE_LIMIT
from pslgs.transport.stream import Stream
from pslgs.transport.v1.training_pb2 import Finish, Header, Hello, Tensor

SAMPLES, FEATURES = 128, 64 * 32 * 32
TENSOR_BYTES = SAMPLES * FEATURES * 4
CODEC = codec_for("None", FEATURES, torch.float32)
BARE_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
]
Rates = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """MB/s of one direction, ours and the bare stream's, measured in turn.

    Attributes:
        tls: ``none`` or ``mutual``.
        way: ``up``, from the client to the server, or ``down``.
        bare: Of each run of the bare stream.
        ours: Of each run of ours.
    """

    tls: str
    way: str
    bare: Sequence[float]
    ours: Sequence[float]

    @property
    def ratio(self) -> float:
        """Ours over the bare stream, median of the pairs."""
        return statistics.median(ours / bare for bare, ours in zip(self.bare, self.ours, strict=True))


async def send_tensors(stream: Stream, tensor: torch.Tensor, count: int) -> None:
    for step in range(count):
        await stream.send(tensor_frames(Tensor.SMASHED_DATA, step, 1, 0, SAMPLES, CODEC.encode(tensor)))


async def receive_tensors(stream: Stream, out: torch.Tensor, count: int) -> None:
    for _ in range(count):
        buffer = CODEC.destination(out)
        assembly = Assembly(buffer)
        complete = False
        while not complete:
            frame = await stream.receive()
            complete = assembly.accept(frame.header.tensor.offset, frame.payload)
        CODEC.decode(buffer, out)


def source(identity: Identity | None) -> IdentitySource | None:
    return (lambda: identity) if identity else None


async def serve_ours(identity: Identity | None, pipe: Pipe, tensors: int) -> None:
    tensor, out = torch.ones(SAMPLES, FEATURES), torch.ones(SAMPLES, FEATURES)

    async def attend(session: Session, _hello: Hello) -> None:
        await receive_tensors(session, out, tensors)
        await session.send([control_frame(Header(finish=Finish()))])
        await send_tensors(session, tensor, tensors)

    server = GrpcServer("127.0.0.1:0", source(identity), attend)
    pipe.send(await server.start())
    await asyncio.to_thread(pipe.recv)
    await server.stop(1.0)


async def serve_bare(identity: Identity | None, pipe: Pipe, tensors: int) -> None:
    messages = tensors * TENSOR_BYTES // CHUNK_BYTES

    async def attend(_requests: object, context: Any) -> None:  # noqa: ANN401 - grpc.aio has no types
        for _ in range(messages):
            await context.read()
        await context.write(b"finished")
        payload = bytes(CHUNK_BYTES)
        for _ in range(messages):
            await context.write(payload)

    server = grpc.aio.server(options=BARE_OPTIONS)
    handler = grpc.stream_stream_rpc_method_handler(attend)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", {"Attend": handler}),))
    if identity is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (identity.private_key_pem, identity.certificate_pem)
        port = server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials([pair], identity.ca_pem, require_client_auth=True)
        )
    await server.start()
    pipe.send(port)
    await asyncio.to_thread(pipe.recv)
    await server.stop(None)


async def measure_ours(port: int, identity: Identity | None, tensors: int) -> Rates:
    tensor, out = torch.ones(SAMPLES, FEATURES), torch.ones(SAMPLES, FEATURES)
    hello = Hello(client_id="client-0")
    rng = random.Random(0)  # noqa: S311 - spreads attempts to connect, protects nothing
    async with connect(
        f"127.0.0.1:{port}", source(identity), hello, timeout_seconds=30, rng=rng
    ) as connection:
        start = time.perf_counter()
        await send_tensors(connection, tensor, tensors)
        await connection.receive()
        middle = time.perf_counter()
        await receive_tensors(connection, out, tensors)
        end = time.perf_counter()
    return rate(tensors, middle - start), rate(tensors, end - middle)


async def measure_bare(port: int, identity: Identity | None, tensors: int) -> Rates:
    messages = tensors * TENSOR_BYTES // CHUNK_BYTES
    payload = bytes(CHUNK_BYTES)
    async with bare_channel(port, identity) as channel:
        call = channel.stream_stream("/bare/Attend")()
        await call.wait_for_connection()
        start = time.perf_counter()
        for _ in range(messages):
            await call.write(payload)
        await call.read()
        middle = time.perf_counter()
        for _ in range(messages):
            await call.read()
        end = time.perf_counter()
    return rate(tensors, middle - start), rate(tensors, end - middle)


@asynccontextmanager
async def bare_channel(port: int, identity: Identity | None) -> AsyncIterator[Any]:
    address = f"127.0.0.1:{port}"
    if identity is None:
        channel = grpc.aio.insecure_channel(address, options=BARE_OPTIONS)
    else:
        credentials = grpc.ssl_channel_credentials(
            identity.ca_pem, identity.private_key_pem, identity.certificate_pem
        )
        channel = grpc.aio.secure_channel(address, credentials, options=BARE_OPTIONS)
    async with channel:
        yield channel


def rate(tensors: int, seconds: float) -> float:
    return tensors * TENSOR_BYTES / seconds / 1e6


Serve = Callable[[Identity | None, Pipe, int], Coroutine[Any, Any, None]]
Measure = Callable[[int, Identity | None, int], Coroutine[Any, Any, Rates]]


def serve(run: Serve, identity: Identity | None, pipe: Pipe, tensors: int) -> None:
    torch.set_num_threads(1)
    asyncio.run(run(identity, pipe, tensors))


async def measure_once(
    kind: tuple[Serve, Measure], identities: tuple[Identity | None, Identity | None], tensors: int
) -> Rates:
    """Start a server process, measure it from this one, and stop it."""
    run, measure = kind
    server_identity, client_identity = identities
    pipe, other = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(run, server_identity, other, tensors)
    )
    process.start()
    rates = await measure(await asyncio.to_thread(pipe.recv), client_identity, tensors)
    pipe.send("stop")
    await asyncio.to_thread(process.join)
    return rates


def make_identities() -> tuple[Identity, Identity]:
    now = datetime.now(UTC)
    authority = CertificateAuthority.create("benchmark", now, timedelta(days=1))
    server = authority.issue_server(["127.0.0.1"], now, timedelta(days=1))
    return server, authority.issue_client("client-0", now, timedelta(days=1))


def measure(repeats: int = 5, tensors: int = 6) -> list[Comparison]:
    """Measure both wires in turn, ``repeats`` times, without TLS and with it.

    Args:
        repeats: Pairs of each comparison.
        tensors: Of 33.5 MB, in each direction of each run.
    """
    torch.set_num_threads(1)
    settings = {"none": (None, None), "mutual": make_identities()}
    return [
        comparison
        for tls, identities in settings.items()
        for comparison in asyncio.run(compare(tls, identities, repeats, tensors))
    ]


async def compare(
    tls: str, identities: tuple[Identity | None, Identity | None], repeats: int, tensors: int
) -> list[Comparison]:
    kinds: list[tuple[Serve, Measure]] = [(serve_bare, measure_bare), (serve_ours, measure_ours)]
    pairs = [[await measure_once(kind, identities, tensors) for kind in kinds] for _ in range(repeats)]
    return [
        Comparison(tls, way, *([rates[index] for rates in runs] for runs in zip(*pairs, strict=True)))
        for index, way in enumerate(("up", "down"))
    ]


def table(comparisons: Sequence[Comparison]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| TLS | way | bare, MB/s | ours, MB/s | ours / bare |", "|---|---|---|---|---|"]
    for each in comparisons:
        bare, ours = statistics.median(each.bare), statistics.median(each.ours)
        lines.append(f"| {each.tls} | {each.way} | {bare:.0f} | {ours:.0f} | {each.ratio:.2f} |")
    return "\n".join(lines)


def main(repeats: int = 5, tensors: int = 6) -> None:
    """Measure, and print a table."""
    print(table(measure(repeats, tensors)))


if __name__ == "__main__":
    main()
