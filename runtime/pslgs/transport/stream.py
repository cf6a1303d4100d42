"""The life of one stream, which both ends share: its queues, the tasks that move messages, its end."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import grpc

from pslgs.transport.closable_queue import ClosableQueue
from pslgs.transport.errors import LOST, StreamEnded, ended
from pslgs.transport.messages import Frame, decode_frames, encode_frame, tensor_frames
from pslgs.transport.settings import FLUSH_SECONDS, MERGED_BYTES, STALL_SECONDS
from pslgs.transport.v1.training_pb2 import Header, Tensor

_PLACES = 4  # messages in each queue: gRPC has the next at hand, and small ones can be merged

Read = Callable[[], Awaitable[bytes]]
"""Waits for gRPC's next message; raises `StreamEnded`."""

HalfClose = Callable[[], Coroutine[Any, Any, None]]
"""Tells the peer that nothing more will come."""

Write = Callable[[bytes], Awaitable[None]]
"""Waits until gRPC has taken a message; raises `StreamEnded`."""


class Stream:
    """Frames in both directions until either side ends the stream.

    Messages to the peer are queued and written in order by a task of the stream's own, so a peer that does
    not read holds up only the tasks that send to it.  Once the stream has ended, every operation raises
    `StreamEnded`, those under way included; what the peer had sent before it left can still be received.

    Attributes:
        received: Bytes by kind (see `Frame.kind`), headers included.
        sent: Bytes by kind, as taken by gRPC.
    """

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._inbox: ClosableQueue[bytes] = ClosableQueue(_PLACES)
        self._outbox: ClosableQueue[bytes] = ClosableQueue(_PLACES)
        self._frames: deque[Frame] = deque()
        self._end: asyncio.Future[StreamEnded] = asyncio.get_running_loop().create_future()

    async def receive(self) -> Frame:
        """Wait for the peer's next frame.

        Raises:
            StreamEnded: the stream is over.
            ProtocolViolation: what came is no frame.
        """
        if not self._frames:
            self._frames.extend(decode_frames(await self._inbox.get()))
        frame = self._frames.popleft()
        self.received[frame.kind] += frame.size
        return frame

    async def send(self, header: Header) -> None:
        """Queue a frame without payload; see `send_encoded`."""
        await self.send_encoded(encode_frame(header))

    async def send_tensor(  # noqa: PLR0913, PLR0917 - the fields of the message, as in `tensor_frames`
        self, kind: Tensor.Kind, step: int, attempt: int, first: int, samples: int, data: memoryview
    ) -> None:
        """Queue a tensor's chunks as fast as the peer takes them; see `tensor_frames` and `send_encoded`."""
        for message in tensor_frames(kind, step, attempt, first, samples, data):
            await self.send_encoded(message)

    async def send_encoded(self, message: bytes) -> None:
        """Queue an encoded frame, waiting while the peer lags behind; it may go to other streams as well.

        Raises:
            StreamEnded: the stream is over.
        """
        await self._outbox.put(message)

    def end(self, status: grpc.StatusCode, details: str, retry_seconds: float = 0.0) -> None:
        """End the stream from this side and wake all who wait on it; nothing happens if it is over.

        What is queued for the peer is still sent if the status is OK, and thrown away otherwise.
        """
        reason = ended(status, details, retry_seconds)
        self._finish(reason, keep_received=False, keep_queued=status is grpc.StatusCode.OK)

    def lose(self, reason: StreamEnded) -> None:
        """End the stream because the peer left or cannot be reached; nothing happens if it is over."""
        self._finish(reason, keep_received=True, keep_queued=False)

    async def carry(self, read: Read, write: Write, half_close: HalfClose | None = None) -> StreamEnded:
        """Move messages between gRPC and the queues until the stream ends, and tell why it did.

        Args:
            read: How to read.
            write: How to write.
            half_close: Given by a client, who may not cut the server off before it has read everything.
        """
        reader = asyncio.create_task(self._read(read))
        writer = asyncio.create_task(self._write(write))
        watched: set[asyncio.Future[Any]] = {self._end, reader, writer}
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if self._end.done() and self._end.result().status is grpc.StatusCode.OK:
                await asyncio.wait({writer}, timeout=FLUSH_SECONDS)
                if half_close is not None and writer.done():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(half_close(), FLUSH_SECONDS)
                    await asyncio.wait({reader}, timeout=FLUSH_SECONDS)
        except asyncio.CancelledError:
            self.lose(ended(grpc.StatusCode.CANCELLED, LOST))
            raise
        finally:
            self.end(grpc.StatusCode.INTERNAL, "Moving messages failed; the log says why.")
            reader.cancel()
            writer.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return self._end.result()

    async def _read(self, read: Read) -> None:
        try:
            while True:
                message = await read()
                with suppress(StreamEnded):  # the peer is read to its end, though nobody receives that
                    await self._inbox.put(message)
        except StreamEnded as reason:
            self.lose(reason)

    async def _write(self, write: Write) -> None:
        try:
            while True:
                message = await self._next_message()
                async with asyncio.timeout(STALL_SECONDS):
                    await write(message)
                for frame in decode_frames(message):
                    self.sent[frame.kind] += frame.size
        except StreamEnded as reason:
            self.lose(reason)
        except TimeoutError:
            self.end(
                grpc.StatusCode.DEADLINE_EXCEEDED, f"The peer took no message for {STALL_SECONDS:.0f} s."
            )

    async def _next_message(self) -> bytes:
        """Take what is to be sent next; small frames that wait together go as one message.

        A message costs gRPC a fraction of a millisecond on either side, whatever its length.
        """
        frames = [await self._outbox.get()]
        room = MERGED_BYTES - len(frames[0])
        while (following := self._outbox.get_now(partial(_fits, room))) is not None:
            frames.append(following)
            room -= len(following)
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _finish(self, reason: StreamEnded, *, keep_received: bool, keep_queued: bool) -> None:
        if not self._end.done():
            self._end.set_result(reason)
            if not keep_received:
                self._frames.clear()
            self._inbox.close(reason, discard=not keep_received)
            self._outbox.close(reason, discard=not keep_queued)


def _fits(room: int, frame: bytes) -> bool:
    return len(frame) <= room
