"""An evaluation: at the server, or as forward exchanges with the clients, range by range."""

from collections.abc import Mapping

from typing_extensions import override

from pslgs.coordination.activity import Activity, Owing, Phase
from pslgs.coordination.effects import (
    AbandonEvaluation,
    ConcludeEvaluation,
    Effect,
    EvaluateAtServer,
    OrderEvaluation,
    Share,
)
from pslgs.coordination.events import EvaluationAnswered, Event, ServerEvaluationDone, Ticket
from pslgs.coordination.roster import Member


class ServerEvaluation(Activity):
    """The whole model on the server's own data."""

    def __init__(self, ticket: Ticket, epoch: int) -> None:
        super().__init__(Phase.EVALUATION)
        self._ticket = ticket
        self._epoch = epoch

    def begin(self) -> list[Effect]:
        """Start it."""
        return [EvaluateAtServer(self._ticket, self._epoch)]

    @override
    def take(self, event: Event, now: float) -> list[Effect] | None:
        if event != ServerEvaluationDone(self._ticket):
            return None
        self.complete()
        return []

    @override
    def abandon(self, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonEvaluation(self._ticket)]


class ClientEvaluation(Activity):
    """The clients' own evaluation data; whoever is lost meanwhile is left out and named."""

    def __init__(
        self,
        ticket: Ticket,
        epoch: int,
        live: Mapping[str, Member],
        lost: tuple[str, ...],
        range_size: int,
    ) -> None:
        super().__init__(Phase.EVALUATION)
        self._epoch = epoch
        self._range_size = range_size
        self._members = {name: member for name, member in live.items() if member.evaluation_samples}
        self._missing = list(lost)
        self._reached: dict[str, int] = {}
        self._owing = Owing(ticket)

    def begin(self, now: float) -> list[Effect]:
        """Ask every client for its first range."""
        return [self._ask(client, now) for client in self._members] + self._conclusion()

    @override
    def take(self, event: Event, now: float) -> list[Effect] | None:
        match event:
            case EvaluationAnswered(client, ticket) if self._owing.settle(client, ticket, now):
                if self._reached[client] < self._members[client].evaluation_samples:
                    return [self._ask(client, now)]
                return self._conclusion()
            case _:
                return None

    @override
    def lose(self, client: str, reason: str) -> list[Effect]:
        if self._owing.since.pop(client, None) is None:
            return []
        self._missing.append(client)
        return self._conclusion()

    @override
    def abandon(self, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonEvaluation(self._owing.ticket)]

    @override
    def overdue(self, now: float, timeout: float) -> list[str]:
        return self._owing.overdue(now, timeout)

    def _ask(self, client: str, now: float) -> Effect:
        member, first = self._members[client], self._reached.get(client, 0)
        size = min(self._range_size, member.evaluation_samples - first)
        self._reached[client] = first + size
        self._owing.ask([client], now)
        return OrderEvaluation(self._owing.ticket, Share(client, member.open_session(), first, size))

    def _conclusion(self) -> list[Effect]:
        if self._owing.since:
            return []
        self.complete()
        return [ConcludeEvaluation(self._owing.ticket, self._epoch, tuple(sorted(self._missing)))]
