"""An evaluation: at the server, or as forward exchanges with the clients, range by range."""

from collections import deque
from collections.abc import Mapping

from typing_extensions import override

from pslgs.coordination.membership import ClientInfo
from pslgs.coordination.messages import (
    AbandonEvaluation,
    ConcludeEvaluation,
    DropEvaluation,
    Effect,
    EvaluateAtServer,
    EvaluationAnswered,
    EvaluationScored,
    Event,
    ExchangeId,
    LocalBatch,
    OrderEvaluation,
    ScoreEvaluation,
    ServerEvaluationDone,
)
from pslgs.coordination.operation import Operation, PendingReplies, Phase

RANGES_AT_ONCE = 2
"""Full ranges in the server's memory: one is scored while the next one is on its way."""


class ServerEvaluation(Operation):
    """The whole model on the server's own data."""

    def __init__(self, exchange: ExchangeId, epoch: int) -> None:
        super().__init__(Phase.EVALUATION)
        self._exchange = exchange
        self._epoch = epoch

    def begin(self) -> list[Effect]:
        """Start it."""
        return [EvaluateAtServer(self._exchange, self._epoch)]

    @override
    def take(self, event: Event, now: float) -> list[Effect] | None:
        if event != ServerEvaluationDone(self._exchange):
            return None
        self.complete()
        return []

    @override
    def abandon(self, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonEvaluation(self._exchange)]


class ClientEvaluation(Operation):
    """The clients' own evaluation data, range by range; whoever is lost or excluded is left out and named.

    The clients take turns.  A range occupies memory at the server from its order until it is scored, and
    the ranges that do so at one time have `RANGES_AT_ONCE` times ``range_size`` samples at most, however
    many clients there are.  A client owes an answer only while its range is on its way.
    """

    def __init__(
        self,
        exchange: ExchangeId,
        epoch: int,
        live: Mapping[str, ClientInfo],
        lost: tuple[str, ...],
        range_size: int,
    ) -> None:
        super().__init__(Phase.EVALUATION)
        self._epoch = epoch
        self._range_size = range_size
        self._members = {name: member for name, member in live.items() if member.evaluation_samples}
        self._missing = list(lost)
        self._reached = dict.fromkeys(self._members, 0)
        self._turns = deque(self._members)
        self._held: dict[str, int] = {}
        self._pending = PendingReplies(exchange)

    def begin(self, now: float) -> list[Effect]:
        """Ask the first clients for their first ranges."""
        return self._go_on(now)

    @override
    def take(self, event: Event, now: float) -> list[Effect] | None:
        if self._pending.note(event, now):
            return []
        match event:
            case EvaluationAnswered(client, exchange) if self._pending.settle(client, exchange, now):
                return [ScoreEvaluation(exchange, client)]
            case EvaluationScored(client, exchange) if (
                exchange == self._pending.exchange and client in self._held
            ):
                del self._held[client]
                if self._to_come(client):
                    self._turns.append(client)
                return self._go_on(now)
            case _:
                return None

    def expects(self, exchange: ExchangeId) -> bool:
        """Tell whether ``exchange`` is that of this evaluation."""
        return exchange == self._pending.exchange

    def exclude(self, client: str, now: float) -> list[Effect]:
        """Leave a client out whose range cannot be scored, with all its ranges."""
        if self._held.pop(client, None) is None:
            return []
        self._missing.append(client)
        del self._members[client]
        return self._go_on(now)

    @override
    def lose(self, client: str, reason: str, now: float) -> list[Effect]:
        owed = self._pending.drop(client)
        if owed or self._to_come(client):
            self._missing.append(client)
            self._members.pop(client, None)
        if client in self._turns:
            self._turns.remove(client)
        if owed:
            del self._held[client]
            return [DropEvaluation(self._pending.exchange, client), *self._go_on(now)]
        return self._go_on(now)

    @override
    def abandon(self, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonEvaluation(self._pending.exchange)]

    @override
    def overdue(self, now: float, timeout: float) -> list[str]:
        return self._pending.overdue(now, timeout)

    @override
    def forgive(self, seconds: float, now: float) -> None:
        self._pending.forgive(seconds, now)

    def _to_come(self, client: str) -> int:
        """Count the samples of a client that it has not been asked for; 0 where it takes no part."""
        member = self._members.get(client)
        return member.evaluation_samples - self._reached[client] if member else 0

    def _go_on(self, now: float) -> list[Effect]:
        """Ask for ranges as long as there is room for the next one; conclude if nothing is left to do."""
        room = RANGES_AT_ONCE * self._range_size - sum(self._held.values())
        orders: list[Effect] = []
        while self._turns and (size := min(self._range_size, self._to_come(self._turns[0]))) <= room:
            room -= size
            orders.append(self._ask(self._turns.popleft(), size, now))
        if self._turns or self._held:
            return orders
        self.complete()
        return [ConcludeEvaluation(self._pending.exchange, self._epoch, tuple(sorted(self._missing)))]

    def _ask(self, client: str, size: int, now: float) -> Effect:
        first = self._reached[client]
        self._reached[client] = first + size
        self._held[client] = size
        self._pending.ask([client], now)
        session = self._members[client].open_session()
        return OrderEvaluation(self._pending.exchange, LocalBatch(client, session, first, size))
