"""A client's gRPC call as a stream reads and writes it: whatever grpc.aio raises becomes `StreamEnded`."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from pslgs.wire.errors import StreamEnded, ended
from pslgs.wire.limits import RETRY_LIMIT_SECONDS
from pslgs.wire.options import RETRY_AFTER


async def read(call: Any) -> bytes:  # noqa: ANN401 - grpc.aio has no types
    """Wait for the server's next message."""
    try:
        message = await call.read()
    except grpc.aio.AioRpcError as error:
        raise _ended_by(error) from error
    if message is grpc.aio.EOF:
        raise await outcome(call)
    return bytes(message)


async def write(call: Any, message: bytes) -> None:  # noqa: ANN401 - as above
    """Wait until gRPC has taken ``message``."""
    try:
        await call.write(message)
    except grpc.aio.AioRpcError as error:
        raise _ended_by(error) from error
    except (asyncio.InvalidStateError, grpc.aio.BaseError) as error:
        raise await outcome(call) from error


async def half_close(call: Any) -> None:  # noqa: ANN401 - as above
    """Tell the server that nothing more will come."""
    with suppress(grpc.aio.BaseError):  # then the call is over already
        await call.done_writing()


async def outcome(call: Any) -> StreamEnded:  # noqa: ANN401 - as above
    """Wait for the status that the call ends with."""
    retry = _retry_seconds(await call.trailing_metadata() or ())
    return ended(await call.code(), await call.details() or "", retry)


def _ended_by(error: grpc.aio.AioRpcError) -> StreamEnded:
    return ended(error.code(), error.details() or "", _retry_seconds(error.trailing_metadata() or ()))


def _retry_seconds(metadata: Iterable[tuple[str, str | bytes]]) -> float:
    """Read how long the server asks this client to wait; 0 where it does not or what it says is no number."""
    milliseconds = dict(metadata).get(RETRY_AFTER, "0")
    return min(int(milliseconds) / 1000, RETRY_LIMIT_SECONDS) if _is_number(milliseconds) else 0.0


def _is_number(text: str | bytes) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
