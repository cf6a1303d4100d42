"""Simulated clients, which follow the protocol as the real ones do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from typing import Protocol

from fault_simulation import arithmetic
from fault_simulation.scenario import ClientProfile
from fault_simulation.world import Action, Clock, Direction, Process
from pslgs.coordination import messages
from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.messages import ExchangeId, LocalBatch
from pslgs.transport.client_connection import back_off

KEEPALIVE_SECONDS = 40.0
"""Seconds after which a server notices that a silent stream is broken."""

RESTART_SECONDS = 10.0
"""Seconds after which a client's process that has ended with an error is started again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Values that a client sends: smashed data and targets of a local batch, or its gradient."""

    client: str
    exchange: ExchangeId
    values: list[float]
    targets: list[float] | None = None


class Server(Protocol):
    """What clients see of a server."""

    def admit(self, client: "SimulatedClient") -> "Connection | float":
        """Return a stream, or the seconds after which the client may try again."""
        ...

    def receive(self, connection: "Connection", answer: Answer) -> None:
        """Receive an answer."""
        ...

    def disconnected(self, connection: "Connection", reason: str) -> None:
        """Notice that a stream is broken."""
        ...

    def report_unusable(self, client: str) -> None:
        """Receive a client's report that its data cannot be used."""
        ...


class Connection:
    """A client's stream.

    Attributes:
        client: The client.
        number: Number of the session.
        open_at_client: Whether the client takes it for open.
        open_at_server: Whether the server takes it for open.
    """

    def __init__(self, client: "SimulatedClient", server: Server, number: int) -> None:
        self.client = client
        self.number = number
        self.open_at_client = self.open_at_server = True
        self._server = server
        self._broken = False
        self._clock = client.clock
        self._up, self._down = Direction(client.clock), Direction(client.clock)

    def to_client(self, handle: Action) -> float:
        """Send something to the client; return when it arrives."""

        def arrive() -> None:
            if self.open_at_client and not self._broken:
                handle()

        return self._down.send(self.client.latency, self.client.when_running(arrive))

    def to_server(self, answer: Answer) -> None:
        """Send an answer to the server."""

        def arrive() -> None:
            if self.open_at_server and not self._broken:
                self._server.receive(self, answer)

        self._up.send(self.client.latency, arrive)

    def end(self, cause: EndCause | None) -> None:
        """End it at the server, which tells the client unless the link is gone."""
        self.open_at_server = False
        self.to_client(lambda: self.client.ended(self, cause))

    def break_(self, *, server_notices_after: float, client_notices_after: float) -> None:
        """Lose it, with all that is on its way."""
        self._broken = True
        self._clock.after(client_notices_after, self.client.when_running(self._client_notices))
        self._clock.after(server_notices_after, self._server_notices)

    def _client_notices(self) -> None:
        if self.open_at_client:
            self.client.ended(self, None)

    def _server_notices(self) -> None:
        if self.open_at_server:
            self._server.disconnected(self, "its stream broke")


class SimulatedClient(Process):
    """A client: connects, answers one order at a time, and drops it when another comes.

    Attributes:
        name: Its name.
        clock: The world's clock.
        samples: Its training samples of each class.
        evaluation_samples: Its evaluation samples.
        connection: The stream that it takes for open.
    """

    def __init__(
        self, name: str, profile: ClientProfile, clock: Clock, server: Callable[[], Server | None]
    ) -> None:
        super().__init__(clock)
        self.name = name
        self.clock = clock
        self.samples = profile.samples
        self.evaluation_samples = profile.evaluation_samples
        self.connection: Connection | None = None
        self._profile = profile
        self._server = server
        self._alive = False
        self._lives = 0
        self._orders = 0
        self._slow_until = 0.0
        self._repeats = self._sends_nan = False
        self._delays: Iterator[float] = iter(())
        self._exchange: ExchangeId | None = None
        self._batch: list[tuple[float, float]] = []

    @property
    def latency(self) -> float:
        """Mean seconds for a message in one direction."""
        return self._profile.latency * (20.0 if self.clock.now < self._slow_until else 1.0)

    # Faults

    def start(self) -> None:
        """Start the process."""
        self._alive = True
        self._lives += 1
        self._begin_to_connect()

    def die(self, seconds: float) -> None:
        """Kill the process, and start another after a while."""
        self._alive = False
        self._orders += 1
        if self.connection:
            self.connection.open_at_client = False
            self.connection.break_(
                server_notices_after=self.clock.about(self.latency), client_notices_after=0.0
            )
            self.connection = None
        self.clock.after(seconds, self.start)

    def lose_link(self, *, silently: bool) -> None:
        """Break the stream, with all that is on its way; the server notices late if it is ``silently``."""
        if self.connection:
            late = KEEPALIVE_SECONDS if silently else self.latency
            self.connection.break_(
                server_notices_after=self.clock.about(late),
                client_notices_after=self.clock.about(self.latency),
            )

    def slow_down(self, seconds: float) -> None:
        """Make the link slow for a while."""
        self._slow_until = self.clock.now + seconds

    def change_data(self, by: int, seconds: float) -> None:
        """Restart the process after a while, with more or fewer samples of each class."""
        self.samples = tuple(max(1, count + by) if count else 0 for count in self.samples)
        self.die(seconds)

    def report_unusable(self) -> None:
        """Tell the server, if there is one, that the data cannot be used."""
        server = self._server()
        if server is not None:
            server.report_unusable(self.name)

    def repeat_next(self) -> None:
        """Send the next answer twice."""
        self._repeats = True

    def spoil_next(self) -> None:
        """Send a value in the next answer that is not finite."""
        self._sends_nan = True

    # Connecting

    def _begin_to_connect(self) -> None:
        self._delays = back_off(self.clock.rng)
        self._connect_after(self.clock.about(self.latency))

    def _connect_after(self, seconds: float) -> None:
        lives = self._lives

        def connect() -> None:
            if self._alive and lives == self._lives and self.connection is None:
                self._connect()

        self.clock.after(seconds, self.when_running(connect))

    def _connect(self) -> None:
        server = self._server()
        admitted = 0.0 if server is None else server.admit(self)
        if isinstance(admitted, Connection):
            self.connection = admitted
        else:
            self._connect_after(max(next(self._delays), admitted))

    def ended(self, connection: Connection, cause: EndCause | None) -> None:
        """Notice the end of a stream."""
        connection.open_at_client = False
        if self.connection is connection:
            self.connection = None
            self._orders += 1
            if cause in {EndCause.NON_FINITE, EndCause.EXCLUDED}:
                self._alive = False  # its process ends, and whoever runs it starts it again
                self.clock.after(RESTART_SECONDS, self.start)
            else:
                self._begin_to_connect()

    def finished(self) -> None:
        """The job has ended."""
        self._alive = False

    # Orders

    def forward(self, exchange: ExchangeId, epoch: int, local_batch: LocalBatch, a: float) -> None:
        """Compute the smashed data of a local batch."""
        self._exchange = exchange
        self._batch = arithmetic.samples(self.name, epoch, local_batch.offset, local_batch.samples)
        batch = self._batch
        self._answer(lambda: Answer(self.name, exchange, arithmetic.forward(a, batch), [y for _, y in batch]))

    def backward(self, exchange: ExchangeId, cut_gradient: list[float]) -> None:
        """Compute the gradient of the client part, unless another order has come since."""
        batch = self._batch
        if exchange == self._exchange:
            self._answer(
                lambda: Answer(self.name, exchange, [arithmetic.client_gradient(cut_gradient, batch)])
            )

    def evaluate(self, exchange: ExchangeId, local_batch: LocalBatch, a: float) -> None:
        """Compute the smashed data of a range of the evaluation samples."""
        self._exchange = exchange
        rows = arithmetic.samples(self.name, 0, local_batch.offset, local_batch.samples)
        self._answer(lambda: Answer(self.name, exchange, arithmetic.forward(a, rows), [y for _, y in rows]))

    def abort(self, exchange: ExchangeId) -> None:
        """Drop an order."""
        if exchange == self._exchange:
            self._exchange = None
            self._orders += 1

    def _answer(self, compute: Callable[[], Answer]) -> None:
        self._orders += 1
        order, connection = self._orders, self.connection

        def send() -> None:
            if order != self._orders or connection is None or not connection.open_at_client:
                return
            answer = compute()
            if self._sends_nan:
                self._sends_nan = False
                answer.values[-1] = nan
            connection.to_server(answer)
            if self._repeats:
                self._repeats = False
                connection.to_server(answer)

        self.clock.after(self.clock.about(self._profile.compute), self.when_running(send))

    def joined(self, session: int) -> messages.Joined:
        """Return the event of its joining."""
        counts = self.samples if len(self.samples) > 1 else ()
        return messages.Joined(self.name, session, sum(self.samples), self.evaluation_samples, counts)
