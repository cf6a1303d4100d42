"""Makes up for wake-ups of the event loop that were lost.

The thread in which gRPC polls wakes the event loop by a byte on a pair of sockets, and so does any thread
that calls `call_soon_threadsafe`.  Both ignore the error if that byte cannot be written, which is ENOBUFS in
a process at its memory limit.  What has happened is in a queue then, and nobody looks: a client that waits
for nothing else would wait for ever.
"""

import asyncio
from contextlib import suppress
from typing import Never

import grpc.aio

WAKE_UP_SECONDS = 2.0
"""Maximum time for which a lost wake-up delays anything."""

_NOWHERE = "unix:/dev/null"


async def wake_up_regularly() -> Never:
    """Wake the event loop by a timer, and gRPC by an expired call; each then looks at all of its queue."""
    async with grpc.aio.insecure_channel(_NOWHERE) as channel:
        expired = channel.unary_unary("/pslgs.Nothing/WakeUp")
        while True:
            await asyncio.sleep(WAKE_UP_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(WAKE_UP_SECONDS):
                    await expired(b"", timeout=0).code()
