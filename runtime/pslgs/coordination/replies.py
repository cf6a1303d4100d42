"""Replies of clients: which are pending and since when, and why one is unexpected."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from pslgs.coordination.messages import Event, ExchangeId, RequestSent, RequestsReady


@dataclass(slots=True)
class PendingReplies:
    """The clients that owe a reply in one exchange.

    Neither the duration of a reply nor its time-out includes what the server needs before it can send the
    request.  The time-out begins anew once the whole request was sent, so that a client has one time-out to
    receive the request and one to reply.

    Attributes:
        exchange: Replies of other exchanges do not count.
        expected: Client -> time from which the duration of its reply counts: when it was expected, or when
            its request became ready.  A client is removed once it has replied.
        since: Client -> time from which its time-out counts; empty before the requests are ready.
        seconds: Client -> total duration of its replies so far.
    """

    exchange: ExchangeId
    expected: dict[str, float] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def expect(self, clients: Iterable[str], now: float) -> None:
        """Expect a reply of each of ``clients`` from now on."""
        self.expected.update(dict.fromkeys(clients, now))

    def handle(self, event: Event, now: float) -> bool:
        """Record the progress of requests; False if ``event`` is not about requests of this exchange."""
        match event:
            case RequestsReady(self.exchange):
                for client in self.expected:
                    if client not in self.since:
                        self.expected[client] = self.since[client] = now
            case RequestSent(client, self.exchange) if client in self.expected:
                self.since[client] = now
            case _:
                return False
        return True

    def receive(self, client: str, exchange: ExchangeId, now: float) -> bool:
        """Record a reply; False if none was expected of the client in ``exchange``."""
        if exchange != self.exchange or client not in self.expected:
            return False
        self.seconds[client] = self.seconds.get(client, 0.0) + now - self.expected[client]
        return self.drop(client)

    def drop(self, client: str) -> bool:
        """Stop expecting a reply of ``client``; False if none was expected."""
        self.since.pop(client, None)
        return self.expected.pop(client, None) is not None

    def extend(self, seconds: float, now: float) -> None:
        """Extend every time-out by ``seconds`` that have just passed."""
        self.since = {client: min(since + seconds, now) for client, since in self.since.items()}

    def overdue(self, now: float, timeout: float) -> list[str]:
        """List the clients whose time-out began more than ``timeout`` seconds ago."""
        return [client for client, since in self.since.items() if now - since > timeout]


class Pass(StrEnum):
    """The pass of an exchange that a reply belongs to."""

    FORWARD = "forward"
    BACKWARD = "backward"


class UnexpectedReply(StrEnum):
    """Why a reply is unexpected; the values are labels of a metric."""

    LATE = "late"
    """The client was asked for it, and the exchange is over or was abandoned meanwhile."""
    REPLAYED = "replayed"
    """The client has completed its reply to this exchange, or to a later one, before: a violation."""
    UNASKED = "unasked"
    """The client was not asked for it, nor for a later one: a violation."""


class ReplyHistory:
    """The exchange that each client was asked for last, and its last complete reply in each pass.

    Streams keep their order, and a client drops what it is doing when a new request comes.  So an honest
    client never replies to an exchange after it has completed its reply to that one or to a later one, nor
    before it is asked.
    """

    def __init__(self) -> None:
        self._asked: dict[str, ExchangeId] = {}
        self._completed: dict[tuple[str, Pass], ExchangeId] = {}

    def ask(self, client: str, exchange: ExchangeId) -> None:
        """Record that a client is asked for a reply; in an evaluation, once for each range of its samples."""
        self._asked[client] = exchange
        for of in Pass:
            if self._completed.get((client, of)) == exchange:
                del self._completed[client, of]

    def complete(self, client: str, of: Pass, exchange: ExchangeId) -> None:
        """Record that a client's reply is complete."""
        self._completed[client, of] = exchange

    def classify(self, client: str, of: Pass, exchange: ExchangeId) -> UnexpectedReply:
        """Return why a reply is unexpected.

        Args:
            client: The sender.
            of: The pass that it replies to.
            exchange: The exchange that it names.
        """
        completed = self._completed.get((client, of))
        if completed is not None and exchange <= completed:
            return UnexpectedReply.REPLAYED
        asked = self._asked.get(client)
        return UnexpectedReply.LATE if asked is not None and exchange <= asked else UnexpectedReply.UNASKED
