"""The frames that wait to be sent on a stream."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pslgs.transport.messages import EncodedFrame
from pslgs.transport.settings import MERGED_BYTES


class _Sequence(NamedTuple):
    """Frames that are sent one after another.

    Attributes:
        frames: Those that are left.
        sent: Resolved with whether all of them were sent.
    """

    frames: Iterator[EncodedFrame]
    sent: asyncio.Future[bool]


class Outbox:
    """Sequences of frames, which are sent in the order in which they were posted.

    The next frame of a sequence is requested when its turn comes, so a sequence that encodes its frames as it
    goes needs no memory for those that wait for the peer.  Any number of tasks may post; one task takes.
    """

    def __init__(self) -> None:
        self._sequences: deque[_Sequence] = deque()
        self._next: EncodedFrame | None = None
        self._ending: list[_Sequence] = []  # with the message that was taken last
        self._closed: Exception | None = None
        self._taker: asyncio.Future[None] | None = None

    def post(self, frames: Iterable[EncodedFrame]) -> asyncio.Future[bool]:
        """Append a sequence.

        Returns:
            A future that is resolved with whether all its frames were sent before the end, and cancelled if
            they are discarded earlier, as is then whoever waits for it.
        """
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        sequence = _Sequence(iter(frames), sent)
        if self._closed is not None:
            _resolve((sequence,), sent=False)
        else:
            self._sequences.append(sequence)
            self._wake_taker()
        return sent

    async def take(self) -> list[EncodedFrame]:
        """Wait for frames, and remove those of the next message: a single one, or several small ones.

        A message takes gRPC a fraction of a millisecond on each side, regardless of its length.  Calling this
        says that the message before has been sent.

        Raises:
            Exception: the error of `close`, if no frame is left.
        """
        while True:
            _resolve(self._ending, sent=True)
            self._ending = []
            if frames := self._next_message():
                return frames
            if not self._ending and self._closed is not None:
                raise self._closed.with_traceback(None)
            if not self._ending:
                self._taker = asyncio.get_running_loop().create_future()
                await self._taker

    def prepare(self) -> None:
        """Request the next frame, so that encoding it takes no time when it is taken."""
        self._peek()

    def discard(self) -> None:
        """Remove all frames, also those of a sequence that was sent in part, and cancel their futures.

        The last message that was taken is on its way; nobody is told any more what becomes of it.
        """
        self._next = None
        for sequence in (*self._ending, *self._sequences):
            sequence.sent.cancel()
        self._sequences.clear()

    def close(self, error: Exception, *, discard: bool) -> None:
        """Accept no further frames, and resolve the futures of those that wait with False.

        Args:
            error: Raised by `take` once no frame is left; only the first call's error counts.
            discard: Whether to remove the waiting frames; otherwise `take` still returns them.
        """
        self._closed = self._closed or error
        _resolve((*self._ending, *self._sequences), sent=False)
        if discard:
            self.discard()
        self._wake_taker()

    def _next_message(self) -> list[EncodedFrame]:
        frames: list[EncodedFrame] = []
        room = MERGED_BYTES
        while room > 0 and (frame := self._peek()) is not None and not (frames and len(frame.data) > room):
            frames.append(frame)
            self._next = None
            room -= len(frame.data)
        return frames

    def _peek(self) -> EncodedFrame | None:
        """Return the next frame without removing it."""
        while self._next is None and self._sequences:
            self._next = next(self._sequences[0].frames, None)
            if self._next is None:
                self._ending.append(self._sequences.popleft())
        return self._next

    def _wake_taker(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


def _resolve(sequences: Iterable[_Sequence], *, sent: bool) -> None:
    for sequence in sequences:
        if not sequence.sent.done():  # whoever waits may have been cancelled
            sequence.sent.set_result(sent)
