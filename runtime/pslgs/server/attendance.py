"""Attends one client: checks what it says of itself, then takes its answers until its stream ends."""

import asyncio
from collections.abc import Callable

from pslgs.coordination.events import Joined, Left
from pslgs.coordination.rejoins import Rejoins
from pslgs.server.conductor import Conductor
from pslgs.server.hello_checks import check_claims, check_shape
from pslgs.server.population import Population
from pslgs.server.statements import until
from pslgs.server.switchboard import Switchboard
from pslgs.wire.errors import ClientFailed, ProtocolViolation, StreamEnded, TryLater
from pslgs.wire.frames import Frame
from pslgs.wire.peer_text import one_line
from pslgs.wire.service import Session
from pslgs.wire.v1 import training_pb2 as wire


class Attendance:
    """Lets clients in, and passes on what they send."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a server that a client meets
        self,
        conductor: Conductor,
        switchboard: Switchboard,
        population: Population,
        input_shape: tuple[int, ...],
        max_samples: int,
        clock: Callable[[], float],
    ) -> None:
        self._conductor = conductor
        self._switchboard = switchboard
        self._population = population
        self._input_shape = input_shape
        self._max_samples = max_samples
        self._rejoins = Rejoins()
        self._clock = clock

    async def attend(self, session: Session, hello: wire.Hello, named: asyncio.Future[None]) -> None:
        """Attend a client of this job from its Hello on.

        Args:
            session: Its stream.
            hello: Its first message.
            named: Resolved once the names of its classes are those of the job.

        Raises:
            InputError: what it says of itself does not fit the job; its stream ends with that message.
            TryLater: it was lost too often to join now.
            ProtocolViolation: it broke the protocol, and is lost.
            ClientFailed: it cannot go on, and is lost.
            StreamEnded: it left, and is lost.
        """
        check_shape(hello.input_shape, self._input_shape)
        check_claims(hello, self._population, self._max_samples)
        if not named.done():
            await until(session, named)
        self._check_rejoin(session.client_id)
        await self._serve(session, hello)

    async def _serve(self, session: Session, hello: wire.Hello) -> None:
        self._population.count(session.client_id, hello.label_counts)
        self._switchboard.connect(session)
        try:
            await session.send(wire.Header(welcome=wire.Welcome(input_shape=self._input_shape)))
            self._conductor.tell(
                Joined(
                    session.client_id,
                    session.number,
                    hello.samples,
                    hello.evaluation_samples,
                    tuple(hello.label_counts),
                )
            )
            while True:
                self._take(session, await session.receive())
        except (StreamEnded, ProtocolViolation, ClientFailed) as error:
            self._conductor.tell(Left(session.client_id, session.number, str(error)))
            raise
        finally:
            self._rejoins.lost(session.client_id, self._clock())
            self._switchboard.disconnect(session)

    def _take(self, session: Session, frame: Frame) -> None:
        match frame.header.WhichOneof("body"):
            case "tensor":
                self._conductor.accept(session, frame.header.tensor, frame.payload)
            case "failure":
                raise ClientFailed(one_line(frame.header.failure.message))
            case body:
                raise ProtocolViolation(f"A {body} is not for a client to send.")

    def _check_rejoin(self, client: str) -> None:
        wait = self._rejoins.wait_seconds(client, self._clock())
        if wait:
            raise TryLater(
                f"Client {client} was lost too often within a short time; it may join again in {wait:.1f} s.",
                wait,
            )
