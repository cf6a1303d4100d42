"""Tell the server that this client cannot take part, so that the job ends instead of waiting for it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final

from pslgs.spec.errors import InputError
from pslgs.transport.errors import ProtocolViolation, StreamEnded, Unreachable
from pslgs.transport.peer_text import one_line
from pslgs.transport.stream import Stream
from pslgs.transport.v1 import training_pb2 as wire

ANSWER_SECONDS: Final = 10.0
"""Maximum wait for the server to take note; one that does not know ``Hello.failure`` says nothing."""


async def report_failure(
    error: InputError,
    client_id: str,
    job_digest: bytes,
    connect: Callable[[wire.Hello], AbstractAsyncContextManager[Stream]],
) -> None:
    """Tell the server why this client cannot take part; do nothing if no server is reached.

    Args:
        error: Why its data or the user's code cannot be used.
        client_id: Id of the client.
        job_digest: Digest of the job, without which the server does not listen.
        connect: Opens a connection with a Hello; see `pslgs.transport.client_connection.connect`.
    """
    hello = wire.Hello(client_id=client_id, job_digest=job_digest, failure=one_line(str(error)))
    with suppress(ProtocolViolation, StreamEnded, TimeoutError, Unreachable):
        async with connect(hello) as connection, asyncio.timeout(ANSWER_SECONDS):
            await connection.receive()  # the server ends the stream once it has taken note
