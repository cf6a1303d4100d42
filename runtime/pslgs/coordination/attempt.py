"""One attempt at a step: forward, server step, backward, update; all of it or nothing."""

from collections.abc import Mapping

from typing_extensions import override

from pslgs.coordination.activity import Activity, Owing, Phase
from pslgs.coordination.effects import (
    AbandonAttempt,
    ApplyUpdate,
    Effect,
    OrderForward,
    RunServerStep,
    SendCutGradients,
    Share,
)
from pslgs.coordination.events import (
    ClientGradientReceived,
    Event,
    ServerStepDone,
    SmashedDataReceived,
    Ticket,
    UpdateDone,
)


class Attempt(Activity):
    """Leads the active clients of one step through its four phases; completed once its update is applied."""

    def __init__(self, ticket: Ticket, epoch: int, shares: tuple[Share, ...]) -> None:
        super().__init__(Phase.FORWARD)
        self._ticket = ticket
        self._epoch = epoch
        self._shares = shares
        self._clients = tuple(share.client for share in shares)
        self._owing = Owing(ticket)

    @property
    def answer_seconds(self) -> Mapping[str, float]:
        """Client -> seconds that it kept the step waiting, forward and backward together."""
        return self._owing.answered

    def begin(self, following: dict[str, int], now: float) -> list[Effect]:
        """Send the orders; ``following`` are the local batch sizes that the schedule has next."""
        self._owing.ask(self._clients, now)
        return [
            OrderForward(self._ticket, self._epoch, share, following.get(share.client, 0))
            for share in self._shares
        ]

    @override
    def take(self, event: Event, now: float) -> list[Effect] | None:
        if self._owing.note(event, now):
            return []
        match event, self.phase:
            case SmashedDataReceived(client, ticket), Phase.FORWARD if self._owing.settle(
                client, ticket, now
            ):
                return self._once_all_answered(
                    Phase.SERVER_STEP, RunServerStep(self._ticket, self._epoch, self._shares)
                )
            case ServerStepDone(ticket), Phase.SERVER_STEP if ticket == self._ticket:
                self.phase = Phase.BACKWARD
                self._owing.ask(self._clients, now)
                return [SendCutGradients(self._ticket, self._shares)]
            case ClientGradientReceived(client, ticket), Phase.BACKWARD if self._owing.settle(
                client, ticket, now
            ):
                return self._once_all_answered(
                    Phase.UPDATE, ApplyUpdate(self._ticket, self._epoch, self._shares)
                )
            case UpdateDone(ticket), Phase.UPDATE if ticket == self._ticket:
                self.complete()
                return []
            case _:
                return None

    @override
    def lose(self, client: str, reason: str, now: float) -> list[Effect]:
        needed = client in (self._owing.asked if self.phase is Phase.BACKWARD else self._clients)
        return self._give_up("client_lost", f"client {client} was lost: {reason}") if needed else []

    @override
    def abandon(self, reason: str) -> list[Effect]:
        return self._give_up("stopped", reason)

    @override
    def overdue(self, now: float, timeout: float) -> list[str]:
        return self._owing.overdue(now, timeout)

    @override
    def forgive(self, seconds: float, now: float) -> None:
        self._owing.forgive(seconds, now)

    def fail(self, ticket: Ticket, kind: str, reason: str) -> list[Effect]:
        """Give up because of a fault in the numbers; only then also in the middle of the update.

        Empty if the attempt under that ticket is over, or computes nothing at the server.
        """
        if self.done or ticket != self._ticket or self.phase not in {Phase.SERVER_STEP, Phase.UPDATE}:
            return []
        return self._abandon(kind, reason)

    def _give_up(self, kind: str, reason: str) -> list[Effect]:
        if self.phase is Phase.UPDATE:
            return []
        return self._abandon(kind, reason)

    def _abandon(self, kind: str, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonAttempt(self._ticket, self._epoch, self._shares, kind, reason)]

    def _once_all_answered(self, phase: Phase, effect: Effect) -> list[Effect]:
        if self._owing.asked:
            return []
        self.phase = phase
        return [effect]
