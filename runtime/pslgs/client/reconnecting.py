"""Takes part in a job over as many connections and servers as it needs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager

import grpc

from pslgs.client.health import ClientHealth
from pslgs.process.termination_message import Ending
from pslgs.spec.exit_codes import ExitCode
from pslgs.transport.errors import ProtocolViolation, Refused, StreamEnded, Unreachable
from pslgs.transport.stream import Stream

Connect = Callable[[], AbstractAsyncContextManager[Stream]]
Attend = Callable[[Stream], Awaitable[Ending]]

_logger = logging.getLogger(__name__)


async def take_part_in_job(
    connect: Connect, attend: Attend, health: ClientHealth, delays: Iterator[float], *, stays: bool
) -> Ending:
    """Connect and carry out orders, again after a lost connection, until the job is over or out of reach.

    Args:
        connect: Opens a connection to the server; see `pslgs.transport.client_connection.connect`.
        attend: Carries out the orders that come over it; see `pslgs.client.order_loop.attend`.
        health: Is told whether there is a connection.
        delays: Seconds to wait before each further connection, unless the server asked for more.
        stays: Whether to connect again after a server that was interrupted, and will be resumed.

    Raises:
        InputError: this client's data or certificate cannot be used.
    """
    while True:
        retry_seconds = 0.0
        try:
            async with connect() as connection:
                health.connected = True
                ending = await attend(connection)
            if ending.exit_code is not ExitCode.INTERRUPTED or not stays:
                _logger.info("the job is over: %s", ending.message)
                return ending
            _logger.info("the server was interrupted (%s); connecting to the next one", ending.message)
        except Refused as error:
            if error.status is grpc.StatusCode.DATA_LOSS:
                return _given_up(ExitCode.DROPPED, f"the server dropped this client: {error.details}")
            return _given_up(ExitCode.REFUSED, f"the server refuses this client: {error.details}")
        except Unreachable as error:
            return _given_up(ExitCode.SERVER_UNREACHABLE, str(error))
        except ProtocolViolation as error:
            return _given_up(ExitCode.INTERNAL_ERROR, f"the server broke the protocol: {error}")
        except StreamEnded as error:
            retry_seconds = error.retry_seconds
            _logger.warning("lost the server: %s; connecting again", error)
        finally:
            health.connected = False
        # A server that ends every stream at once must not be called in a hot loop.
        await asyncio.sleep(max(next(delays), retry_seconds))


def _given_up(exit_code: ExitCode, reason: str) -> Ending:
    _logger.warning("%s", reason)
    return Ending(exit_code, reason)
