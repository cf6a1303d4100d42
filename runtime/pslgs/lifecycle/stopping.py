"""The ways in which a process is asked to stop: a signal, or the end of the process that started it."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_reason(*, with_parent: bool) -> Iterator[asyncio.Future[str]]:
    """Give a future that is resolved with the reason once the process is asked to stop.

    Args:
        with_parent: Whether the end of standard input counts as well; the process that started this one
            holds the other end of it, and the system closes that however it dies.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def ask(reason: str) -> None:
        if not stop.done():
            stop.set_result(reason)

    for number in SIGNALS:
        loop.add_signal_handler(number, ask, f"stopped by {number.name}")
    watching = loop.create_task(_until_parent_ends(ask)) if with_parent else None
    try:
        yield stop
    finally:
        if watching:
            watching.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _until_parent_ends(ask: Callable[[str], None]) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        await reader.read()
        ask("the process that started it has ended")
    finally:
        transport.close()
