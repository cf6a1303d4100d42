"""A client's gRPC call as a stream reads and writes it: whatever grpc.aio raises becomes `StreamEnded`."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from pslgs.wire.errors import StreamEnded, ended


async def read(call: Any) -> bytes:  # noqa: ANN401 - grpc.aio has no types
    """Wait for the server's next message."""
    try:
        message = await call.read()
    except grpc.aio.AioRpcError as error:
        raise ended(error.code(), error.details() or "") from error
    if message is grpc.aio.EOF:
        raise await outcome(call)
    return bytes(message)


async def write(call: Any, message: bytes) -> None:  # noqa: ANN401 - as above
    """Wait until gRPC has taken ``message``."""
    try:
        await call.write(message)
    except grpc.aio.AioRpcError as error:
        raise ended(error.code(), error.details() or "") from error
    except (asyncio.InvalidStateError, grpc.aio.BaseError) as error:
        raise await outcome(call) from error


async def half_close(call: Any) -> None:  # noqa: ANN401 - as above
    """Tell the server that nothing more will come."""
    with suppress(grpc.aio.BaseError):  # then the call is over already
        await call.done_writing()


async def outcome(call: Any) -> StreamEnded:  # noqa: ANN401 - as above
    """Wait for the status that the call ends with."""
    return ended(await call.code(), await call.details() or "")
