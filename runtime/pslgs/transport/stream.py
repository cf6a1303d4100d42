"""One end of a stream of frames: its queues, the tasks that move messages, and how it ends."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import grpc

from pslgs.transport.closable_queue import ClosableQueue
from pslgs.transport.errors import CONNECTION_LOST, ProtocolViolation, StreamEnded, stream_ended
from pslgs.transport.messages import EncodedFrame, Frame, decode_frames
from pslgs.transport.outbox import Outbox
from pslgs.transport.settings import FLUSH_TIMEOUT_SECONDS, MERGED_BYTES, WRITE_TIMEOUT_SECONDS

_QUEUED_MESSAGES = 4  # enough that gRPC need not wait for the next

Read = Callable[[], Awaitable[bytes]]
"""Function that waits for the next message from gRPC; raises `StreamEnded`."""

Write = Callable[[bytes], Awaitable[None]]
"""Function that waits until gRPC has accepted a message; raises `StreamEnded`."""

HalfClose = Callable[[], Coroutine[Any, Any, None]]
"""Function by which the peer learns that no further message follows."""


class Stream:
    """Sends and receives frames until either side ends the stream.

    Frames for the peer are queued, and a task of the stream writes them in order, so a peer that does not
    read blocks only those who wait until their frames are sent.  When the stream has ended, all operations
    that wait raise `StreamEnded`, including those in progress.  If the peer ended it, frames that it had sent
    before can still be received.

    Attributes:
        received: Number of received bytes by `Frame.kind`, including headers.
        sent: Number of bytes that gRPC has accepted, by `Frame.kind`, including headers.
    """

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._inbox: ClosableQueue[bytes] = ClosableQueue(_QUEUED_MESSAGES)
        self._outbox = Outbox()
        self._write_began: float | None = None
        self._totals: Counter[tuple[str, str]] = Counter()
        self._frames: deque[Frame] = deque()
        self._end: asyncio.Future[StreamEnded] = asyncio.get_running_loop().create_future()

    async def receive(self) -> Frame:
        """Wait for the peer's next frame.

        Raises:
            StreamEnded: the stream has ended.
            ProtocolViolation: a message does not consist of valid frames.
        """
        if not self._frames:
            self._frames.extend(decode_frames(await self._inbox.get()))
        frame = self._frames.popleft()
        self._count_received(frame.kind, frame.size)
        return frame

    def post(self, frames: Iterable[EncodedFrame]) -> asyncio.Future[bool]:
        """Queue frames behind those that were posted before, and do not wait.

        The frames are requested one by one, when gRPC can take them.  The same ones may be posted on several
        streams.

        Returns:
            A future that is resolved with whether gRPC has accepted all of them; see `Outbox.post`.
        """
        return self._outbox.post(frames)

    async def send(self, frames: Iterable[EncodedFrame]) -> None:
        """Queue frames, and wait until gRPC has accepted them.

        Raises:
            StreamEnded: the stream has ended.
        """
        if not await self.post(frames):
            raise self._end.result().with_traceback(None)

    def discard_posted(self) -> None:
        """Drop the frames that gRPC has not been given yet, and cancel whoever waits until they are sent."""
        self._outbox.discard()

    def count_into(self, totals: Counter[tuple[str, str]]) -> None:
        """Add the bytes of this stream, past and future ones, to ``totals``.

        Args:
            totals: Number of bytes by direction (``sent`` or ``received``) and `Frame.kind`.
        """
        totals.update({("sent", kind): size for kind, size in self.sent.items()})
        totals.update({("received", kind): size for kind, size in self.received.items()})
        self._totals = totals

    def end(self, status: grpc.StatusCode, details: str, retry_seconds: float = 0.0) -> None:
        """End the stream from this side and wake all waiting tasks; has no effect if it has ended.

        Args:
            status: gRPC status for the peer; queued messages are still sent if it is OK, else discarded.
            details: Reason for people.
            retry_seconds: Time that a client shall wait before it connects again.
        """
        reason = stream_ended(status, details, retry_seconds)
        self._close(reason, keep_received=False, keep_queued=status is grpc.StatusCode.OK)

    def accuse(self, problem: str) -> None:
        """Let `receive` raise `ProtocolViolation`, for what the peer did below its messages."""
        self._frames.clear()
        self._inbox.close(ProtocolViolation(problem), discard=True)

    async def pump(self, read: Read, write: Write, half_close: HalfClose | None = None) -> StreamEnded:
        """Move messages between gRPC and the queues until the stream ends, and return the reason.

        Args:
            read: Reads a message from gRPC.
            write: Writes a message to gRPC.
            half_close: Ends the messages of a client in order, so that the server can read all of them; None
                at a server.
        """
        reader = asyncio.create_task(self._read_messages(read))
        writer = asyncio.create_task(self._write_messages(write))
        watch = asyncio.create_task(self._watch_writes())
        moving = reader, writer, watch
        watched: set[asyncio.Future[Any]] = {self._end, *moving}
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if self._end.done() and self._end.result().status is grpc.StatusCode.OK:
                await asyncio.wait({writer}, timeout=FLUSH_TIMEOUT_SECONDS)
                if half_close is not None and writer.done():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(half_close(), FLUSH_TIMEOUT_SECONDS)
                    await asyncio.wait({reader}, timeout=FLUSH_TIMEOUT_SECONDS)
        except asyncio.CancelledError:
            self._close_lost(stream_ended(grpc.StatusCode.CANCELLED, CONNECTION_LOST))
            raise
        finally:
            self.end(grpc.StatusCode.INTERNAL, "Moving messages failed; the log says why.")
            for task in moving:
                task.cancel()
            outcomes = await asyncio.gather(*moving, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return self._end.result()

    async def _read_messages(self, read: Read) -> None:
        try:
            while True:
                message = await read()
                with suppress(
                    StreamEnded, ProtocolViolation
                ):  # all messages are read, even if nobody receives them any more
                    await self._inbox.put(message)
        except StreamEnded as reason:
            self._close_lost(reason)

    async def _write_messages(self, write: Write) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                frames = await self._outbox.take()
                message = frames[0].data if len(frames) == 1 else b"".join(frame.data for frame in frames)
                if len(message) > MERGED_BYTES:
                    loop.call_soon(self._outbox.prepare)  # while gRPC sends this one
                self._write_began = loop.time()
                await write(message)
                self._write_began = None
                for frame in frames:
                    self._count_sent(frame.kind, len(frame.data))
        except StreamEnded as reason:
            self._close_lost(reason)

    async def _watch_writes(self) -> None:
        """End the stream if its peer accepts no message for too long; a timer for each write costs more."""
        loop, limit = asyncio.get_running_loop(), WRITE_TIMEOUT_SECONDS
        while True:
            left = limit if self._write_began is None else self._write_began + limit - loop.time()
            if left <= 0:
                problem = f"The peer took no message for {limit:.0f} s."
                self.end(grpc.StatusCode.DEADLINE_EXCEEDED, problem)
                return
            await asyncio.sleep(left)

    def _count_received(self, kind: str, size: int) -> None:
        self.received[kind] += size
        self._totals["received", kind] += size

    def _count_sent(self, kind: str, size: int) -> None:
        self.sent[kind] += size
        self._totals["sent", kind] += size

    def _close_lost(self, reason: StreamEnded) -> None:
        """End the stream because the peer ended it or cannot be reached."""
        self._close(reason, keep_received=True, keep_queued=False)

    def _close(self, reason: StreamEnded, *, keep_received: bool, keep_queued: bool) -> None:
        if not self._end.done():
            self._end.set_result(reason)
            if not keep_received:
                self._frames.clear()
            self._inbox.close(reason, discard=not keep_received)
            self._outbox.close(reason, discard=not keep_queued)
