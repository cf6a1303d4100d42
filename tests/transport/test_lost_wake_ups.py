"""What gRPC or a thread has to tell is heard, also if the event loop was not woken for it."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc.aio
import pytest

from pslgs.transport import lost_wake_ups
from pslgs.transport.lost_wake_ups import wake_up_regularly
from transport.loopback import DEADLINE

SOON = 0.2
"""Seconds after which what has not been heard is not heard at all."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_wake_ups, "WAKE_UP_SECONDS", 0.05)


@asynccontextmanager
async def waking_up() -> AsyncIterator[None]:
    task = asyncio.create_task(wake_up_regularly())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def lose_wake_ups() -> int:
    """Take the bytes that wake this thread's event loop, and return their number."""
    loop: Any = asyncio.get_running_loop()
    lost = 0
    for watched in list(loop._selector.get_map().values()):
        with socket.socket(fileno=os.dup(watched.fd)) as waking:
            if waking.family == socket.AF_UNIX:
                with suppress(BlockingIOError):
                    lost += len(waking.recv(1000, socket.MSG_DONTWAIT))
    return lost


async def test_an_event_of_grpc_is_handled_although_its_wake_up_was_lost():
    async with grpc.aio.insecure_channel("unix:/dev/null") as channel:
        call = channel.unary_unary("/nothing")(b"", timeout=0)
        code = asyncio.ensure_future(call.code())
        await asyncio.sleep(0)  # the call begins
        deadline = time.monotonic() + DEADLINE
        while not lose_wake_ups():  # this thread is busy until gRPC has told of its end
            assert time.monotonic() < deadline
        assert await asyncio.wait({code}, timeout=SOON) == (set(), {code})

        async with waking_up():
            assert await asyncio.wait_for(code, DEADLINE) is not grpc.StatusCode.OK


async def test_a_call_of_another_thread_is_made_although_its_wake_up_was_lost():
    loop, called = asyncio.get_running_loop(), asyncio.Event()
    async with waking_up():
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(called.set,))
        thread.start()
        thread.join()
        assert lose_wake_ups() > 0
        await asyncio.wait_for(called.wait(), DEADLINE)
