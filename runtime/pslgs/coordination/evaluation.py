"""Evaluation of the model, on the server's data or range by range on the clients' data."""

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
    EvaluationConcluded,
    EvaluationScored,
    Event,
    ExchangeId,
    LocalBatch,
    OrderEvaluation,
    ScoreEvaluation,
    ServerEvaluationDone,
)
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.operation import ClientOperation, Operation, Phase

RANGES_AT_ONCE = 2
"""Full ranges in the server's memory: one is scored while the next one is received."""


class EvaluationAtServer(Operation):
    """Evaluates the whole model on the server's own data.

    Attributes:
        epoch: The epoch after which it is evaluated.
        value: Value of the chosen metric, once completed; None if it is undefined.
    """

    def __init__(self, exchange: ExchangeId, epoch: int) -> None:
        super().__init__(Phase.EVALUATION)
        self._exchange = exchange
        self.epoch = epoch
        self.value: float | None = None

    @override
    def begin(self, now: float) -> list[Effect]:
        return [EvaluateAtServer(self._exchange, self.epoch)]

    @override
    def handle(self, event: Event, now: float) -> list[Effect] | None:
        match event:
            case ServerEvaluationDone(self._exchange, value):
                self.value = value
                self.complete()
                return []
            case _:
                return None

    @override
    def abandon(self, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonEvaluation(self._exchange)]


class EvaluationAtClients(ClientOperation):
    """Evaluates the clients' own data range by range, without the clients that are lost or excluded.

    The clients take turns.  A range occupies memory at the server from its order until it is scored, and
    the ranges that do so at one time have `RANGES_AT_ONCE` times ``range_size`` samples at most, however
    many clients there are.  A client owes a reply only from the order of its range until it has sent it.

    Attributes:
        epoch: The epoch after which it is evaluated.
        value: Value of the chosen metric, once completed; None if it is undefined.
    """

    def __init__(
        self,
        exchange: ExchangeId,
        epoch: int,
        live: Mapping[str, ClientInfo],
        lost: tuple[str, ...],
        range_size: int,
    ) -> None:
        super().__init__(Phase.EVALUATION, exchange)
        self.epoch = epoch
        self.value: float | None = None
        self._concluding = False
        self._range_size = range_size
        self._members = {name: member for name, member in live.items() if member.evaluation_samples}
        self._missing = list(lost)
        self._ordered = dict.fromkeys(self._members, 0)
        self._turns = deque(self._members)
        self._in_memory: dict[str, int] = {}

    @override
    def begin(self, now: float) -> list[Effect]:
        return self._order_ranges(now)

    @override
    def handle(self, event: Event, now: float) -> list[Effect] | None:
        if self.pending.handle(event, now):
            return []
        match event:
            case EvaluationAnswered(client, exchange) if self.pending.receive(client, exchange, now):
                return [ScoreEvaluation(exchange, client)]
            case EvaluationScored(client, self.exchange) if client in self._in_memory:
                del self._in_memory[client]
                if self._samples_left(client):
                    self._turns.append(client)
                return self._order_ranges(now)
            case EvaluationConcluded(self.exchange, value) if self._concluding:
                self.value = value
                self.complete()
                return []
            case _:
                return None

    @override
    def fail(self, exchange: ExchangeId, fault: NumericFault, now: float) -> list[Effect] | None:
        """Exclude the clients to blame with all their ranges."""
        if self.done or self._concluding or exchange != self.exchange or not fault.clients:
            return None
        effects: list[Effect] = []
        for client in sorted(fault.clients):
            if self._in_memory.pop(client, None) is not None:
                if self._members.pop(client, None):  # a client that was lost meanwhile is missing already
                    self._missing.append(client)
                effects += self._order_ranges(now)
        return effects

    @override
    def client_lost(self, client: str, reason: str, now: float) -> list[Effect]:
        pending = self.pending.drop(client)
        if pending or self._samples_left(client):
            self._missing.append(client)
            self._members.pop(client, None)
        if client in self._turns:
            self._turns.remove(client)
        if pending:
            del self._in_memory[client]
            return [DropEvaluation(self.exchange, client), *self._order_ranges(now)]
        return self._order_ranges(now)

    @override
    def abandon(self, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonEvaluation(self.exchange)]

    def _samples_left(self, client: str) -> int:
        """Count the samples of a client that are in no range yet; 0 if it takes no part."""
        member = self._members.get(client)
        return member.evaluation_samples - self._ordered[client] if member else 0

    def _order_ranges(self, now: float) -> list[Effect]:
        """Order ranges while there is memory for the next one; conclude if all ranges are scored."""
        free = RANGES_AT_ONCE * self._range_size - sum(self._in_memory.values())
        orders: list[Effect] = []
        while self._turns and (size := min(self._range_size, self._samples_left(self._turns[0]))) <= free:
            free -= size
            orders.append(self._order_range(self._turns.popleft(), size, now))
        if self._turns or self._in_memory or self._concluding:
            return orders
        self._concluding = True
        return [ConcludeEvaluation(self.exchange, self.epoch, tuple(sorted(self._missing)))]

    def _order_range(self, client: str, size: int, now: float) -> Effect:
        first = self._ordered[client]
        self._ordered[client] = first + size
        self._in_memory[client] = size
        self.pending.expect([client], now)
        session = self._members[client].open_session()
        return OrderEvaluation(self.exchange, LocalBatch(client, session, first, size))
