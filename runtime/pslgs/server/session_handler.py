"""Handles sessions of clients: checks their Hello messages, then receives their tensors."""

import asyncio
from collections.abc import Callable, Sequence

import grpc

from pslgs.coordination.messages import Joined, Left, Unusable, Violated
from pslgs.coordination.rejoin_backoff import RejoinBackoff
from pslgs.model_inputs import InputShape
from pslgs.server.client_faults import ClientFaults
from pslgs.server.connections import ClientConnections
from pslgs.server.driver import CoordinatorDriver
from pslgs.server.feature_statistics import FeatureStatistics
from pslgs.server.hello_checks import (
    UnusableClient,
    check_claims,
    check_digest,
    check_shape,
    known_reasons,
)
from pslgs.server.label_statistics import LabelStatistics
from pslgs.server.statements import ClassNames, Statements, refuse, wait_until
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.named_inputs import NamedInput
from pslgs.transport.errors import (
    ClientFailed,
    Excluded,
    ProtocolViolation,
    StreamEnded,
    TryLater,
    refusal_reason,
)
from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import Frame, control_frame
from pslgs.transport.peer_text import one_line
from pslgs.transport.shapes import state_shape, stated_shape
from pslgs.transport.v1 import training_pb2 as wire


class SessionHandler:
    """Handles the sessions of clients after the model is built."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a server that a client meets
        self,
        driver: CoordinatorDriver,
        connections: ClientConnections,
        label_statistics: LabelStatistics,
        input_shape: InputShape,
        max_samples: int,
        clock: Callable[[], float],
        features: FeatureStatistics | None = None,
        inputs: Sequence[NamedInput] = (),
        client_timeout: float = 30.0,
    ) -> None:
        self._driver = driver
        self._connections = connections
        self._label_statistics = label_statistics
        self._features = features or FeatureStatistics()
        self._input_shape = input_shape
        self._inputs = inputs
        self._max_samples = max_samples
        self._rejoin_backoff = RejoinBackoff()
        self._client_timeout = client_timeout
        self._clock = clock

    async def handle(self, session: Session, hello: wire.Hello, named: asyncio.Future[None]) -> None:
        """Handle the session of a client of this job until it ends.

        Args:
            session: The session.
            hello: The client's first message.
            named: Resolved once the client's class names are those of the job.

        Raises:
            Excluded: the client may not take part any more.
            InputError: the Hello does not fit the job; the stream ends with that message.
            TryLater: the client was lost too often to join now.
            ProtocolViolation: the client violated the protocol.
            ClientFailed: the client reported that it cannot continue.
            StreamEnded: the stream ended.
        """
        if (reason := self._driver.exclusion(session.client_id)) is not None:
            raise Excluded(reason)
        check_shape(stated_shape(hello, self._inputs), self._input_shape)
        check_claims(hello, self._label_statistics, self._max_samples)
        self._features.check(hello)
        if not named.done():
            await wait_until(session, named)
        self._check_rejoin(session.client_id)
        await self._receive_all(session, hello)

    async def _receive_all(self, session: Session, hello: wire.Hello) -> None:
        self._connections.connect(session)
        self._note_stall(session.client_id)  # of an earlier session, whose place this one takes
        try:
            self._driver.note_left_out(session.client_id, known_reasons(hello.left_out))
            welcome = wire.Welcome()
            state_shape(welcome, self._input_shape)
            session.post([control_frame(wire.Header(welcome=welcome))])
            self._features.state(session, hello)
            self._driver.post(
                Joined(
                    session.client_id,
                    session.number,
                    hello.samples,
                    hello.evaluation_samples,
                    tuple(hello.label_counts),
                )
            )
            while True:
                self._handle_frame(session, await session.receive())
        except ProtocolViolation as error:
            self._driver.post(Violated(session.client_id, session.number, str(error)))
            raise
        except (StreamEnded, ClientFailed) as error:
            timed_out = isinstance(error, StreamEnded) and error.status is grpc.StatusCode.DEADLINE_EXCEEDED
            if timed_out:
                self._rejoin_backoff.record_stall(session.client_id, self._clock(), self._client_timeout)
            elif not self._driver.is_replaced(session):
                self._note_stall(session.client_id)
            self._driver.post(Left(session.client_id, session.number, str(error)))
            raise
        finally:
            self._rejoin_backoff.record_loss(session.client_id, self._clock())
            self._features.withdraw(session)
            self._connections.disconnect(session)

    def _note_stall(self, client: str) -> None:
        self._rejoin_backoff.record_stall(client, self._clock(), self._driver.held_up_seconds(client))

    def _handle_frame(self, session: Session, frame: Frame) -> None:
        match frame.header.WhichOneof("body"):
            case "tensor":
                self._driver.receive(session, frame.header.tensor, frame.payload)
            case "failure":
                problem = one_line(frame.header.failure.message)
                if frame.header.failure.exit_code == ExitCode.BAD_INPUT:
                    self._driver.post(Unusable(session.client_id, session.number, problem))
                raise ClientFailed(problem)
            case body:
                raise ProtocolViolation(f"A {body} is not for a client to send.")

    def _check_rejoin(self, client: str) -> None:
        wait = self._rejoin_backoff.wait_seconds(client, self._clock())
        if wait:
            raise TryLater(
                f"Client {client} was lost too often; it may join again in {wait:.1f} s.",
                wait,
            )


class StartupGate:
    """Accepts clients while the server starts, and passes them to the session handler once there is one.

    Attributes:
        shapes: The shapes of samples that the waiting clients state.
        class_names: The class names that the connected clients state.
        session_handler: Resolved by the server once the model is built.
        unusable: Resolved when a client of this job first reports that it cannot take part.
    """

    def __init__(
        self,
        digest: bytes,
        shapes: Statements[InputShape],
        class_names: ClassNames,
        faults: ClientFaults,
        inputs: Sequence[NamedInput] = (),
    ) -> None:
        """Make a gate; requires a running event loop.

        Args:
            digest: Digest of the job; clients with another one are refused.
            shapes: Collects the shapes.
            class_names: Collects the names of classes.
            faults: Counts the clients that are refused.
            inputs: The inputs of a model with several.
        """
        self.shapes = shapes
        self.class_names = class_names
        self.session_handler: asyncio.Future[SessionHandler] = asyncio.get_running_loop().create_future()
        self.unusable: asyncio.Future[Unusable] = asyncio.get_running_loop().create_future()
        self._digest = digest
        self._faults = faults
        self._inputs = inputs

    async def handle(self, session: Session, hello: wire.Hello) -> None:
        """Handle the session of a client; see `SessionHandler.handle` for further errors.

        Raises:
            InputError: the client's manifest is of another job, or the client cannot take part in it.
        """
        try:
            check_digest(hello, self._digest)
            if hello.failure:
                raise self._unusable(session.client_id, one_line(hello.failure))
            with self.class_names.stating(session, tuple(hello.class_names)) as named:
                if not self.session_handler.done():
                    with self.shapes.stating(session, stated_shape(hello, self._inputs)):
                        await wait_until(session, self.session_handler)
                await self.session_handler.result().handle(session, hello, named)
        except (InputError, TryLater, Excluded, ProtocolViolation) as error:
            self._faults.refused(session.client_id, refusal_reason(error), str(error))
            raise

    def _unusable(self, client: str, problem: str) -> UnusableClient:
        if not self.unusable.done():
            self.unusable.set_result(Unusable(client, None, problem))
        return UnusableClient.at("", problem)

    def refuse_shape(self, shape: InputShape, error: InputError) -> None:
        """Refuse the waiting clients whose samples have a shape that the model cannot take."""
        for statement in self.shapes.open():
            if statement.value == shape:
                refuse(statement.session, self._faults, error)
