"""Where clients wait until the server knows what it trains."""

import asyncio
import math
from typing import TYPE_CHECKING

from pslgs.wire.errors import ProtocolViolation
from pslgs.wire.service import Session
from pslgs.wire.v1 import training_pb2 as wire

if TYPE_CHECKING:
    from pslgs.server.attendance import Attendance

SAMPLE_LIMIT = 10**9
"""Numbers that one sample may be made of, before the server tries the model on it."""


class Doorway:
    """Takes clients in from the first moment on, and hands them to their attendance once there is one.

    Attributes:
        first_shape: Resolved with the shape of a sample, as the first client says it.
        attendance: To be resolved by the server.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first_shape: asyncio.Future[tuple[int, ...]] = loop.create_future()
        self.attendance: asyncio.Future[Attendance] = loop.create_future()

    async def attend(self, session: Session, hello: wire.Hello) -> None:
        """Attend a client; see `Attendance.attend` for what it raises."""
        if not 0 < math.prod(hello.input_shape) <= SAMPLE_LIMIT:
            raise ProtocolViolation(f"Samples of shape {list(hello.input_shape)} are not believed.")
        if not self.first_shape.done():
            self.first_shape.set_result(tuple(hello.input_shape))
        attendance = await asyncio.shield(self.attendance)
        await attendance.attend(session, hello)
