"""What the coordinator can be busy with; one thing at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from typing_extensions import override

from pslgs.coordination.effects import Effect, SaveCheckpoint
from pslgs.coordination.events import CheckpointDone, Event, Ticket


class Phase(Enum):
    """Where the coordinator is."""

    WAITING = auto()
    """For clients."""
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


class Activity(ABC):
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

    def lose(self, client: str, reason: str) -> list[Effect]:  # noqa: ARG002 - what most need not do
        """Do without a client from now on."""
        return []

    def abandon(self, reason: str) -> list[Effect]:  # noqa: ARG002
        """Give up, where that is still possible."""
        return []

    def overdue(self, now: float, timeout: float) -> list[str]:  # noqa: ARG002
        """Return the clients that have owed an answer for longer than ``timeout`` seconds."""
        return []

    def complete(self) -> None:
        """Note that what it was for is achieved."""
        self.done = self.completed = True


@dataclass(slots=True)
class Owing:
    """Who owes an answer under a ticket, and since when.

    Attributes:
        ticket: An answer under another one does not count.
        since: Client -> time since which it owes its answer.
        answered: Client -> seconds that its answers so far took.
    """

    ticket: Ticket
    since: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)

    def ask(self, clients: Iterable[str], now: float) -> None:
        """Note that each of ``clients`` owes an answer from now on."""
        self.since.update(dict.fromkeys(clients, now))

    def settle(self, client: str, ticket: Ticket, now: float) -> bool:
        """Note an answer; False where none was owed under that ticket."""
        if ticket != self.ticket or client not in self.since:
            return False
        self.answered[client] = self.answered.get(client, 0.0) + now - self.since.pop(client)
        return True

    def overdue(self, now: float, timeout: float) -> list[str]:
        """Return the clients that have owed their answer for longer than ``timeout`` seconds."""
        return [client for client, since in self.since.items() if now - since > timeout]


class Checkpointing(Activity):
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
