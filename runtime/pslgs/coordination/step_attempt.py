"""One attempt at a step: forward pass, server step, backward pass, update."""

from collections.abc import Mapping

from typing_extensions import override

from pslgs.coordination.epoch_position import EpochPosition
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
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.operation import ClientOperation, Phase


class StepAttempt(ClientOperation):
    """Leads the active clients of one step through its four phases; completed once its update is applied."""

    def __init__(
        self,
        exchange: ExchangeId,
        epoch: int,
        local_batches: tuple[LocalBatch, ...],
        next_samples: Mapping[str, int],
        position: EpochPosition,
    ) -> None:
        """Make an attempt; ``next_samples`` are the local batch sizes of the step after this one."""
        super().__init__(Phase.FORWARD, exchange)
        self._epoch = epoch
        self._local_batches = local_batches
        self._next_samples = next_samples
        self._position = position
        self._clients = tuple(local_batch.client for local_batch in local_batches)

    @property
    def response_seconds(self) -> Mapping[str, float]:
        """Client -> seconds that its forward and backward replies took together."""
        return self.pending.seconds

    @override
    def begin(self, now: float) -> list[Effect]:
        self.pending.expect(self._clients, now)
        return [
            OrderForward(
                self.exchange, self._epoch, local_batch, self._next_samples.get(local_batch.client, 0)
            )
            for local_batch in self._local_batches
        ]

    @override
    def handle(self, event: Event, now: float) -> list[Effect] | None:
        if self.pending.handle(event, now):
            return []
        match event, self.phase:
            case SmashedDataReceived(client, exchange), Phase.FORWARD if self.pending.receive(
                client, exchange, now
            ):
                return self._after_last_reply(
                    Phase.SERVER_STEP, RunServerStep(self.exchange, self._epoch, self._local_batches)
                )
            case ServerStepDone(self.exchange), Phase.SERVER_STEP:
                self.phase = Phase.BACKWARD
                self.pending.expect(self._clients, now)
                return [SendCutGradients(self.exchange, self._local_batches)]
            case ClientGradientReceived(client, exchange), Phase.BACKWARD if self.pending.receive(
                client, exchange, now
            ):
                return self._after_last_reply(
                    Phase.UPDATE,
                    ApplyUpdate(self.exchange, self._epoch, self._local_batches, self._position),
                )
            case UpdateDone(self.exchange), Phase.UPDATE:
                self.complete()
                return []
            case _:
                return None

    @override
    def fail(self, exchange: ExchangeId, fault: NumericFault, now: float) -> list[Effect] | None:
        if self.done or exchange != self.exchange or self.phase not in {Phase.SERVER_STEP, Phase.UPDATE}:
            return None
        return self._abandon("non_finite" if fault.clients else "diverged", fault.found)

    @override
    def client_lost(self, client: str, reason: str, now: float) -> list[Effect]:
        if self.phase is Phase.UPDATE:
            return []
        needed = client in (self.pending.expected if self.phase is Phase.BACKWARD else self._clients)
        return self._abandon("client_lost", f"client {client} was lost: {reason}") if needed else []

    @override
    def abandon(self, reason: str) -> list[Effect]:
        return [] if self.phase is Phase.UPDATE else self._abandon("stopped", reason)

    def _abandon(self, kind: str, reason: str) -> list[Effect]:
        self.done = True
        return [AbandonAttempt(self.exchange, self._epoch, self._local_batches, kind, reason)]

    def _after_last_reply(self, phase: Phase, effect: Effect) -> list[Effect]:
        """Enter ``phase`` with ``effect`` if no client owes a reply any more."""
        if self.pending.expected:
            return []
        self.phase = phase
        return [effect]
