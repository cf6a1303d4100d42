"""Operations of the coordinator, one of which is in progress at a time, and their pending replies."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from typing_extensions import override

from pslgs.coordination.messages import (
    CheckpointDone,
    DrawSchedule,
    Effect,
    Event,
    ExchangeId,
    RequestSent,
    RequestsReady,
    SaveCheckpoint,
    ScheduleDrawn,
)
from pslgs.coordination.schedule_draw import DrawResult, ScheduleDraw


class Phase(Enum):
    """Where the coordinator is."""

    WAITING = auto()
    """For clients."""
    DRAWING = auto()
    """For a schedule."""
    FORWARD = auto()
    """For smashed data."""
    SERVER_STEP = auto()
    """For the server part."""
    BACKWARD = auto()
    """For client gradients."""
    UPDATE = auto()
    """For the optimizer step, which nothing can abort any more."""
    EVALUATION = auto()
    CHECKPOINT = auto()
    FINISHED = auto()


class Operation(ABC):
    """Something under way.  Each method returns what to do.

    Attributes:
        phase: Where it is.
        done: Whether it is over, completed or abandoned.
        completed: Whether it is over and what it was for is achieved.
    """

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.done = False
        self.completed = False

    @abstractmethod
    def take(self, event: Event, now: float) -> list[Effect] | None:
        """Take in an event; None where it was not waited for."""

    def lose(self, client: str, reason: str, now: float) -> list[Effect]:  # noqa: ARG002 - most need not
        """Do without a client from now on."""
        return []

    def abandon(self, reason: str) -> list[Effect]:  # noqa: ARG002
        """Give up, where that is still possible."""
        return []

    def overdue(self, now: float, timeout: float) -> list[str]:  # noqa: ARG002
        """Return the clients that have owed an answer for longer than ``timeout`` seconds."""
        return []

    def forgive(self, seconds: float, now: float) -> None:  # noqa: B027 - for most there is none
        """Leave ``seconds`` in which the server was held up out of every time-out."""

    def complete(self) -> None:
        """Note that what it was for is achieved."""
        self.done = self.completed = True


@dataclass(slots=True)
class PendingReplies:
    """The clients that owe an answer under a exchange.

    Neither an answer's duration nor its time-out includes what the server needs before it can send the
    request.  The time-out begins anew once the whole request was sent, so that a client has one time-out to
    take the request and one to answer it.

    Attributes:
        exchange: An answer under another one does not count.
        asked: Client -> time at which its answer was asked for or, if that is told, its request became ready;
            until the answer is there.
        since: Client -> time from which its time-out counts, once it does and until its answer is there.
        answered: Client -> seconds that its answers so far took.
    """

    exchange: ExchangeId
    asked: dict[str, float] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)

    def ask(self, clients: Iterable[str], now: float) -> None:
        """Note that each of ``clients`` owes an answer from now on."""
        self.asked.update(dict.fromkeys(clients, now))

    def note(self, event: Event, now: float) -> bool:
        """Note how far the requests are; False where the event tells nothing of these."""
        match event:
            case RequestsReady(self.exchange):
                for client in self.asked:
                    if client not in self.since:
                        self.asked[client] = self.since[client] = now
            case RequestSent(client, self.exchange) if client in self.asked:
                self.since[client] = now
            case _:
                return False
        return True

    def settle(self, client: str, exchange: ExchangeId, now: float) -> bool:
        """Note an answer; False where none was owed under that exchange."""
        if exchange != self.exchange or client not in self.asked:
            return False
        self.answered[client] = self.answered.get(client, 0.0) + now - self.asked[client]
        return self.drop(client)

    def drop(self, client: str) -> bool:
        """Expect nothing of a client any more; False where nothing was expected."""
        self.since.pop(client, None)
        return self.asked.pop(client, None) is not None

    def forgive(self, seconds: float, now: float) -> None:
        """Leave ``seconds`` that have just passed out of every time-out."""
        self.since = {client: min(since + seconds, now) for client, since in self.since.items()}

    def overdue(self, now: float, timeout: float) -> list[str]:
        """Return the clients that have owed their answer for longer than ``timeout`` seconds."""
        return [client for client, since in self.since.items() if now - since > timeout]


class Checkpointing(Operation):
    """A checkpoint being written; nothing interrupts it."""

    def __init__(self, step: int) -> None:
        super().__init__(Phase.CHECKPOINT)
        self._step = step

    def begin(self) -> list[Effect]:
        """Start it."""
        return [SaveCheckpoint(self._step)]

    @override
    def take(self, event: Event, now: float) -> list[Effect] | None:
        if not isinstance(event, CheckpointDone):
            return None
        self.complete()
        return []


class Drawing(Operation):
    """A schedule being drawn for the live clients; it is given up if one of them is lost.

    Attributes:
        draw: What is drawn.
        result: The result; None before it is there.
    """

    def __init__(self, draw: ScheduleDraw) -> None:
        super().__init__(Phase.DRAWING)
        self.draw = draw
        self.result: DrawResult | None = None

    def begin(self) -> list[Effect]:
        """Ask for the draw."""
        return [DrawSchedule(self.draw)]

    @override
    def take(self, event: Event, now: float) -> list[Effect] | None:
        match event:
            case ScheduleDrawn(draw_id, result) if draw_id == self.draw.draw_id:
                self.result = result
                self.complete()
                return []
            case _:
                return None

    @override
    def lose(self, client: str, reason: str, now: float) -> list[Effect]:
        self.done = self.done or client in self.draw.remaining
        return []

    @override
    def abandon(self, reason: str) -> list[Effect]:
        self.done = True
        return []
