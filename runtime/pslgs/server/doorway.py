"""Where clients wait until the server knows what it trains."""

import asyncio
from typing import TYPE_CHECKING

from pslgs.server.client_faults import ClientFaults
from pslgs.server.hello_checks import check_digest
from pslgs.server.statements import ClassNames, Statements, refuse, until
from pslgs.spec.errors import InputError
from pslgs.wire.errors import TryLater
from pslgs.wire.service import Session
from pslgs.wire.v1 import training_pb2 as wire

if TYPE_CHECKING:
    from pslgs.server.attendance import Attendance

Shape = tuple[int, ...]


class Doorway:
    """Takes clients in from the first moment on, and hands them to their attendance once there is one.

    Attributes:
        shapes: What the waiting clients say of the shape of a sample.
        class_names: What the connected clients say of the names of classes.
        attendance: To be resolved by the server.
    """

    def __init__(
        self, digest: bytes, shapes: Statements[Shape], class_names: ClassNames, faults: ClientFaults
    ) -> None:
        """Make a doorway; to be done while an event loop runs.

        Args:
            digest: Of the job; nothing else is looked at that a client of another job says.
            shapes: Collects the shapes.
            class_names: Collects the names of classes.
            faults: Counts the clients that are refused.
        """
        self.shapes = shapes
        self.class_names = class_names
        self.attendance: asyncio.Future[Attendance] = asyncio.get_running_loop().create_future()
        self._digest = digest
        self._faults = faults

    async def attend(self, session: Session, hello: wire.Hello) -> None:
        """Attend a client; see `Attendance.attend` for what else it raises.

        Raises:
            InputError: the client's manifest is of another job.
        """
        try:
            check_digest(hello, self._digest)
            with self.class_names.stating(session, tuple(hello.class_names)) as named:
                if not self.attendance.done():
                    with self.shapes.stating(session, tuple(hello.input_shape)):
                        await until(session, self.attendance)
                await self.attendance.result().attend(session, hello, named)
        except (InputError, TryLater) as error:
            self._faults.refused(session.client_id, type(error).__name__, str(error))
            raise

    def refuse_shape(self, shape: Shape, error: InputError) -> None:
        """Refuse the waiting clients whose samples have a shape that the model cannot take."""
        for statement in self.shapes.open():
            if statement.value == shape:
                refuse(statement.session, self._faults, error)
