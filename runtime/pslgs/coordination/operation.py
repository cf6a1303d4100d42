"""Operations of the coordinator, one of which is in progress at a time."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum, auto

from typing_extensions import override

from pslgs.coordination.messages import (
    CheckpointDone,
    DrawSchedule,
    Effect,
    Event,
    ExchangeId,
    SaveCheckpoint,
    ScheduleDrawn,
)
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.replies import PendingReplies
from pslgs.coordination.schedule_draw import DrawResult, ScheduleDraw


class Phase(Enum):
    """What the coordinator is doing or waiting for."""

    WAITING = auto()
    """No operation is in progress; clients are missing."""
    DRAWING = auto()
    """A schedule is being drawn."""
    FORWARD = auto()
    """Clients send smashed data."""
    SERVER_STEP = auto()
    """The server part runs forward and backward."""
    BACKWARD = auto()
    """Clients send their gradients."""
    UPDATE = auto()
    """The optimizer step is applied, which only a numeric fault can abort."""
    EVALUATION = auto()
    CHECKPOINT = auto()
    FINISHED = auto()


class Operation(ABC):
    """An operation in progress; its methods return the effects to execute.

    Attributes:
        phase: Its present phase.
        done: Whether it has ended, completed or not.
        completed: Whether it has ended and achieved its purpose.
    """

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.done = False
        self.completed = False

    @abstractmethod
    def begin(self, now: float) -> list[Effect]:
        """Begin the operation."""

    @abstractmethod
    def handle(self, event: Event, now: float) -> list[Effect] | None:
        """Handle an event; None if the operation does not expect it."""

    def fail(self, exchange: ExchangeId, fault: NumericFault, now: float) -> list[Effect] | None:  # noqa: ARG002
        """Handle values in ``exchange`` that cannot be used; None if they do not affect this operation."""
        return None

    def client_lost(self, client: str, reason: str, now: float) -> list[Effect]:  # noqa: ARG002
        """Continue without a client, or end if that is impossible."""
        return []

    def abandon(self, reason: str) -> list[Effect]:  # noqa: ARG002
        """End the operation early, if it can be interrupted."""
        return []

    def overdue_clients(self, now: float, timeout: float) -> list[str]:  # noqa: ARG002
        """List the clients that have not replied within ``timeout`` seconds."""
        return []

    def waiting_since(self) -> Mapping[str, float]:
        """Return the clients that owe a reply, and since when it has been waited for."""
        return {}

    def extend_time_outs(self, seconds: float, now: float) -> None:  # noqa: B027 - most have no time-outs
        """Extend every time-out by ``seconds``, during which the server was held up."""

    def complete(self) -> None:
        """Mark the operation as completed."""
        self.done = self.completed = True


class ClientOperation(Operation):
    """An operation that consists of one exchange with clients, which have to reply in time.

    Attributes:
        exchange: The exchange.
        pending: The clients that owe a reply.
    """

    def __init__(self, phase: Phase, exchange: ExchangeId) -> None:
        super().__init__(phase)
        self.exchange = exchange
        self.pending = PendingReplies(exchange)

    @override
    def overdue_clients(self, now: float, timeout: float) -> list[str]:
        return self.pending.overdue(now, timeout)

    @override
    def waiting_since(self) -> Mapping[str, float]:
        return self.pending.since

    @override
    def extend_time_outs(self, seconds: float, now: float) -> None:
        self.pending.extend(seconds, now)


class Checkpointing(Operation):
    """A checkpoint being written; nothing interrupts it."""

    def __init__(self, step: int) -> None:
        super().__init__(Phase.CHECKPOINT)
        self._step = step

    @override
    def begin(self, now: float) -> list[Effect]:
        return [SaveCheckpoint(self._step)]

    @override
    def handle(self, event: Event, now: float) -> list[Effect] | None:
        if not isinstance(event, CheckpointDone):
            return None
        self.complete()
        return []


class Drawing(Operation):
    """A schedule being drawn for the clients that were live when it began.

    It is finished also if one of them is lost meanwhile.  The schedule is used if the same clients are there
    when the next step begins, so a client that returns in time, or for which the job waits, changes nothing.

    Attributes:
        draw: The draw.
        result: Its result; None until it is drawn.
    """

    def __init__(self, draw: ScheduleDraw) -> None:
        super().__init__(Phase.DRAWING)
        self.draw = draw
        self.result: DrawResult | None = None

    @override
    def begin(self, now: float) -> list[Effect]:
        return [DrawSchedule(self.draw)]

    @override
    def handle(self, event: Event, now: float) -> list[Effect] | None:
        match event:
            case ScheduleDrawn(draw_id, result) if draw_id == self.draw.draw_id:
                self.result = result
                self.complete()
                return []
            case _:
                return None

    @override
    def abandon(self, reason: str) -> list[Effect]:
        self.done = True
        return []
