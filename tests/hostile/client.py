"""A client with a valid certificate that can send anything: the stream and the messages of hostile clients.

`behaviours` is the table of what hostile clients do; docs/how-to/testing.md says how to add one.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from pslgs.identity.identity import Identity
from pslgs.transport.messages import Frame, decode_frames, encode_frame
from pslgs.transport.settings import METHOD, PROTOCOL_VERSION, SERVICE
from pslgs.transport.v1.training_pb2 import Forward, Header, Hello, Tensor

LABEL_BYTES = 8


@dataclass(frozen=True)
class Known:
    """What a client knows.

    Attributes:
        name: Its name, that in its certificate.
        folder: Folder with its certificate.
        port: Port of the server, on the loopback interface.
        digest: Digest of the job.
        inputs: Numbers of a sample.
        row_bytes: Bytes of the smashed data of a sample.
        gradient_bytes: Bytes of the gradient of the client part, and of its parameters.
    """

    name: str
    folder: Path
    port: int
    digest: bytes
    inputs: int
    row_bytes: int
    gradient_bytes: int

    @property
    def source(self) -> str:
        """An address of this client alone, for connections that are not gRPC's."""
        number = zlib.crc32(self.name.encode())
        return f"127.1.{number >> 8 & 255}.{number & 255}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def identity(self) -> Identity:
        return Identity.load(self.folder)


class RawStream:
    """A stream of any bytes."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._frames: deque[Frame] = deque()

    async def send(self, *messages: bytes) -> None:
        """Send messages as they are.

        Raises:
            EOFError: the stream has ended.
        """
        for message in messages:
            try:
                await self._call.write(message)
            except (grpc.aio.BaseError, grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
                raise EOFError from error

    async def receive(self) -> Frame:
        """Wait for the server's next frame.

        Raises:
            EOFError: the stream has ended.
        """
        while not self._frames:
            try:
                message = await self._call.read()
            except grpc.aio.AioRpcError as error:
                raise EOFError from error
            if message is grpc.aio.EOF:
                raise EOFError
            self._frames += decode_frames(message)
        return self._frames.popleft()

    async def receive_order(self) -> Forward:
        """Wait for an order to compute a local batch, and for its parameters."""
        return (await self._until("forward")).header.forward

    async def receive_cut_gradient(self) -> None:
        """Wait for the first cut gradient."""
        while (await self._until("tensor")).header.tensor.kind != Tensor.CUT_GRADIENT:
            pass

    def cancel(self) -> None:
        """End the stream at once."""
        self._call.cancel()

    async def receive_end(self) -> tuple[grpc.StatusCode, str]:
        """Read to the end of the stream, and return its status."""
        try:
            while True:
                await self.receive()
        except EOFError:
            return await self._call.code(), await self._call.details() or ""

    async def _until(self, body: str) -> Frame:
        while True:
            frame = await self.receive()
            if frame.header.WhichOneof("body") == body:
                return frame


@asynccontextmanager
async def connected(known: Known, identity: Identity | None = None) -> AsyncIterator[Any]:
    """Open a connection of its own, without a stream."""
    identity = identity or known.identity()
    credentials = grpc.ssl_channel_credentials(
        identity.ca_pem, identity.private_key_pem, identity.certificate_pem
    )
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.secure_channel(known.address, credentials, options=options) as channel:
        yield channel


def raw_stream(channel: Any) -> RawStream:
    """Open a stream on a connection."""
    return RawStream(channel.stream_stream(f"/{SERVICE}/{METHOD}")())


@asynccontextmanager
async def stream_of(known: Known) -> AsyncIterator[RawStream]:
    """Open a connection with a stream, on which nothing has been sent."""
    async with connected(known) as channel:
        yield raw_stream(channel)


@asynccontextmanager
async def joined(known: Known, **changes: Any) -> AsyncIterator[RawStream]:
    """Open a stream on which the Hello of an honest client has been sent."""
    async with stream_of(known) as stream:
        await stream.send(encode_frame(Header(hello=hello(known, **changes))))
        yield stream


def hello(known: Known, **changes: Any) -> Hello:
    """Return the Hello of an honest client with 60 samples, with changes."""
    samples = changes.get("samples", 60)
    said = {
        "protocol": PROTOCOL_VERSION,
        "client_id": known.name,
        "job_digest": known.digest,
        "samples": samples,
        "label_counts": [samples, 0, 0],
        "input_shape": [known.inputs],
    }
    return Hello(**said | changes)


def labels(order: Forward, label: int = 0) -> bytes:
    """Return the message with the labels of a local batch, all alike."""
    return tensor(order, Tensor.LABELS, label.to_bytes(LABEL_BYTES, "little", signed=True) * order.samples)


def answer(known: Known, order: Forward) -> Iterable[bytes]:
    """Return the messages with labels and smashed data of a local batch, zeros."""
    rows = bytes(order.samples * known.row_bytes)
    return labels(order), tensor(order, Tensor.SMASHED_DATA, rows, samples=order.samples)


def gradient(known: Known, order: Forward) -> bytes:
    """Return the message with the gradient of the client part, zeros."""
    return tensor(order, Tensor.CLIENT_GRADIENT, bytes(known.gradient_bytes))


def tensor(order: Forward, kind: int, payload: bytes, **changes: Any) -> bytes:
    """Return a message with a chunk that answers an order, with changes of its header."""
    header = {"kind": kind, "step": order.step, "attempt": order.attempt}
    return encode_frame(Header(tensor=Tensor(**header | changes)), payload)
