"""One attempt at a step: forward, server step, backward, update."""

from collections.abc import Mapping

from typing_extensions import override

from pslgs.coordination.messages import (
    AbandonAttempt,
    ApplyUpdate,
    ClientGradientReceived,
    Effect,
    Event,
    ExchangeId,
    LocalBatch,
    OrderForward,
    RunServerStep,
    SendCutGradients,
    ServerStepDone,
    SmashedDataReceived,
    UpdateDone,
)
from pslgs.coordination.operation import Operation, PendingReplies, Phase


class StepAttempt(Operation):
    """Leads the active clients of one step through its four phases; completed once its update is applied."""

    def __init__(self, exchange: ExchangeId, epoch: int, local_batches: tuple[LocalBatch, ...]) -> None:
        super().__init__(Phase.FORWARD)
        self._exchange = exchange
        self._epoch = epoch
        self._local_batches = local_batches
        self._clients = tuple(local_batch.client for local_batch in local_batches)
        self._pending = PendingReplies(exchange)

    @property
    def answer_seconds(self) -> Mapping[str, float]:
        """Client -> seconds that it kept the step waiting, forward and backward together."""
        return self._pending.answered

    def begin(self, following: dict[str, int], now: float) -> list[Effect]:
        """Send the orders; ``following`` are the local batch sizes that the schedule has next."""
        self._pending.ask(self._clients, now)
        return [
            OrderForward(self._exchange, self._epoch, local_batch, following.get(local_batch.client, 0))
            for local_batch in self._local_batches
        ]

    @override
    def take(self, event: Event, now: float) -> list[Effect] | None:
        if self._pending.note(event, now):
            return []
        match event, self.phase:
            case SmashedDataReceived(client, exchange), Phase.FORWARD if self._pending.settle(
                client, exchange, now
            ):
                return self._once_all_answered(
                    Phase.SERVER_STEP, RunServerStep(self._exchange, self._epoch, self._local_batches)
                )
            case ServerStepDone(exchange), Phase.SERVER_STEP if exchange == self._exchange:
                self.phase = Phase.BACKWARD
                self._pending.ask(self._clients, now)
                return [SendCutGradients(self._exchange, self._local_batches)]
            case ClientGradientReceived(client, exchange), Phase.BACKWARD if self._pending.settle(
                client, exchange, now
            ):
                return self._once_all_answered(
                    Phase.UPDATE, ApplyUpdate(self._exchange, self._epoch, self._local_batches)
                )
            case UpdateDone(exchange), Phase.UPDATE if exchange == self._exchange:
                self.complete()
                return []
            case _:
                return None

    @override
    def lose(self, client: str, reason: str, now: float) -> list[Effect]:
        needed = client in (self._pending.asked if self.phase is Phase.BACKWARD else self._clients)
        return self._give_up("client_lost", f"client {client} was lost: {reason}") if needed else []

    @override
    def abandon(self, reason: str) -> list[Effect]:
        return self._give_up("stopped", reason)

    @override
    def overdue(self, now: float, timeout: float) -> list[str]:
        return self._pending.overdue(now, timeout)

    @override
    def forgive(self, seconds: float, now: float) -> None:
        self._pending.forgive(seconds, now)

    def fail(self, exchange: ExchangeId, kind: str, reason: str) -> list[Effect]:
        """Give up because of a fault in the numbers; only then also in the middle of the update.

        Empty if the attempt under that exchange is over, or computes nothing at the server.
        """
        if self.done or exchange != self._exchange or self.phase not in {Phase.SERVER_STEP, Phase.UPDATE}:
            return []
        return self._abandon(kind, reason)

    def _give_up(self, kind: str, reason: str) -> list[Effect]:
        if self.phase is Phase.UPDATE:
            return []
        return self._abandon(kind, reason)

    def _abandon(self, kind: str, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonAttempt(self._exchange, self._epoch, self._local_batches, kind, reason)]

    def _once_all_answered(self, phase: Phase, effect: Effect) -> list[Effect]:
        if self._pending.asked:
            return []
        self.phase = phase
        return [effect]
