"""A client's call as the server's stream reads and writes it: what grpc.aio raises becomes `StreamEnded`."""

from typing import Any, NoReturn

import grpc
import grpc.aio

from pslgs.wire.errors import LOST, StreamEnded, ended
from pslgs.wire.options import RETRY_AFTER


async def read(context: Any) -> bytes:  # noqa: ANN401 - grpc.aio has no types
    """Wait for the client's next message."""
    try:
        message = await context.read()
    except grpc.aio.BaseError as error:
        raise ended(grpc.StatusCode.CANCELLED, LOST) from error
    if message is grpc.aio.EOF:
        # gRPC does not tell a client that closed its stream from one whose connection is gone.
        raise ended(grpc.StatusCode.CANCELLED, "The client left, or its connection was lost.")
    return bytes(message)


async def write(context: Any, message: bytes) -> None:  # noqa: ANN401 - as above
    """Wait until gRPC has taken ``message``."""
    try:
        await context.write(message)
    except grpc.aio.BaseError as error:
        raise ended(grpc.StatusCode.CANCELLED, LOST) from error


async def abort(context: Any, reason: StreamEnded) -> NoReturn:  # noqa: ANN401 - as above
    """End the call with the status of ``reason``; raises what tells grpc.aio that this is done."""
    metadata = ((RETRY_AFTER, str(round(reason.retry_seconds * 1000))),) if reason.retry_seconds else ()
    await context.abort(reason.status, reason.details, metadata)
    raise AssertionError("grpc.aio's abort always raises")


def certified_names(context: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    """List the subject alternative names of the client's certificate."""
    names = context.auth_context().get("x509_subject_alternative_name", ())
    return tuple(name.decode(errors="replace") for name in names)
