"""Keep a client connected to its job: reconnect after errors and, if asked to, after an interruption."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager

import grpc

from pslgs.client.health import ClientHealth
from pslgs.process.termination_message import ExitStatus
from pslgs.spec.exit_codes import ExitCode
from pslgs.transport.errors import ProtocolViolation, Refused, StreamEnded, Unreachable
from pslgs.transport.stream import Stream

Connect = Callable[[], AbstractAsyncContextManager[Stream]]
ExecuteOrders = Callable[[Stream], Awaitable[ExitStatus]]

_logger = logging.getLogger(__name__)


async def run_with_reconnects(
    connect: Connect,
    execute_orders: ExecuteOrders,
    health: ClientHealth,
    delays: Iterator[float],
    *,
    reconnect_after_interruption: bool,
) -> ExitStatus:
    """Connect and execute orders until the job ends or the server refuses; reconnect after lost connections.

    Args:
        connect: Opens a connection to the server; see `pslgs.transport.client_connection.connect`.
        execute_orders: Executes the orders of a connection; see `pslgs.client.order_loop.execute_orders`.
        health: Health of the client, whose attribute ``connected`` is updated.
        delays: Seconds to wait before each further connection; the server may ask for longer delays.
        reconnect_after_interruption: Whether to connect again after the server was interrupted.

    Returns:
        How this process shall end.

    Raises:
        InputError: this client's data or certificate cannot be used.
    """
    while True:
        retry_seconds = 0.0
        try:
            async with connect() as connection:
                health.connected = True
                exit_status = await execute_orders(connection)
            if exit_status.exit_code is not ExitCode.INTERRUPTED or not reconnect_after_interruption:
                _logger.info("the job has ended: %s", exit_status.message)
                return exit_status
            _logger.info("the server was interrupted (%s); reconnecting", exit_status.message)
        except Refused as error:
            if error.status is grpc.StatusCode.DATA_LOSS:
                return _failure(ExitCode.DROPPED, f"the server dropped this client: {error.details}")
            return _failure(ExitCode.REFUSED, f"the server refuses this client: {error.details}")
        except Unreachable as error:
            return _failure(ExitCode.SERVER_UNREACHABLE, str(error))
        except ProtocolViolation as error:
            return _failure(ExitCode.INTERNAL_ERROR, f"the server broke the protocol: {error}")
        except StreamEnded as error:
            retry_seconds = error.retry_seconds
            _logger.warning("lost the connection: %s; reconnecting", error)
        finally:
            health.connected = False
        # The delay also applies if the server ends every stream at once.
        await asyncio.sleep(max(next(delays), retry_seconds))


def _failure(exit_code: ExitCode, reason: str) -> ExitStatus:
    _logger.warning("%s", reason)
    return ExitStatus(exit_code, reason)
