"""Attends one client: checks what it says of itself, then takes its answers until its stream ends."""

from pslgs.coordination.events import Joined, Left
from pslgs.server.conductor import Conductor
from pslgs.server.population import Population
from pslgs.server.switchboard import Switchboard
from pslgs.spec.errors import InputError
from pslgs.wire.errors import ClientFailed, ProtocolViolation, StreamEnded
from pslgs.wire.frames import Frame
from pslgs.wire.peer_text import one_line
from pslgs.wire.service import Session
from pslgs.wire.v1 import training_pb2 as wire

SAMPLES_LIMIT = 10**9
"""Samples that one client may claim to hold; the schedule takes 4 bytes for each of them."""


class Attendance:
    """Lets clients in, and passes on what they send."""

    def __init__(
        self,
        conductor: Conductor,
        switchboard: Switchboard,
        population: Population,
        input_shape: tuple[int, ...],
        digest: bytes,
    ) -> None:
        self._conductor = conductor
        self._switchboard = switchboard
        self._population = population
        self._input_shape = input_shape
        self._digest = digest
        self._class_names: tuple[str, ...] = ()

    async def attend(self, session: Session, hello: wire.Hello) -> None:
        """Attend a client from its Hello on.

        Raises:
            InputError: what it says of itself does not fit the job; its stream ends with that message.
            ProtocolViolation: it broke the protocol, and is lost.
            ClientFailed: it cannot go on, and is lost.
            StreamEnded: it left, and is lost.
        """
        self._check(hello)
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
            self._switchboard.disconnect(session)

    def _take(self, session: Session, frame: Frame) -> None:
        match frame.header.WhichOneof("body"):
            case "tensor":
                self._conductor.accept(session, frame.header.tensor, frame.payload)
            case "failure":
                raise ClientFailed(one_line(frame.header.failure.message))
            case body:
                raise ProtocolViolation(f"A {body} is not for a client to send.")

    def _check(self, hello: wire.Hello) -> None:
        if hello.job_digest != self._digest:
            raise InputError.at("", "this client's manifest is of another job; give it the server's manifest")
        if tuple(hello.input_shape) != self._input_shape:
            raise InputError.at(
                "spec.data.train",
                f"this client's samples have the shape {list(hello.input_shape)}, the job's "
                f"{list(self._input_shape)}; transform them alike or set spec.model.inputShape",
            )
        if max(hello.samples, hello.evaluation_samples) > SAMPLES_LIMIT:
            raise InputError.at(
                "spec.data", f"more than {SAMPLES_LIMIT:,} samples at one client are not believed"
            )
        violation = self._population.violation(hello.samples, hello.label_counts)
        if violation:
            raise InputError.at("spec.data.train", violation)
        names = tuple(hello.class_names)
        if names and self._class_names and names != self._class_names:
            raise InputError.at(
                "spec.data.train.classes",
                f"this client's classes ({', '.join(names)}) are not those of the first one "
                f"({', '.join(self._class_names)}); name all classes in the manifest",
            )
        self._class_names = self._class_names or names
