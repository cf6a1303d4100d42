"""What the coordinator wants done, in the order given."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from pslgs.coordination.events import Ticket
from pslgs.coordination.schedule_draw import ScheduleDraw
from pslgs.spec.exit_codes import ExitCode


@dataclass(frozen=True, slots=True)
class Share:
    """A client's local batch: ``samples`` from ``offset`` on in the client's order of the epoch."""

    client: str
    session: int
    offset: int
    samples: int


@dataclass(frozen=True, slots=True)
class DrawSchedule:
    """Draw a schedule, in any thread, and answer with `ScheduleDrawn`.

    Another `DrawSchedule` takes this one's place: the result of this one may then be dropped.
    """

    draw: ScheduleDraw


@dataclass(frozen=True, slots=True)
class OrderForward:
    """Send an active client its local batch's place and the client part's parameters.

    ``next_samples`` (from where this batch ends) is what the schedule says comes next, to be loaded ahead.
    """

    ticket: Ticket
    epoch: int
    share: Share
    next_samples: int


@dataclass(frozen=True, slots=True)
class RunServerStep:
    """Run the server part on the global batch, in the order of ``shares``, without applying anything."""

    ticket: Ticket
    epoch: int
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class SendCutGradients:
    """Send every active client its slice of the cut gradient."""

    ticket: Ticket
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class ApplyUpdate:
    """Sum the client gradients in the order of ``shares`` and apply one optimizer step to both parts."""

    ticket: Ticket
    epoch: int
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class AbandonAttempt:
    """Forget everything of this attempt, at the server and at its clients, as if it had not begun.

    ``kind`` is one word for metrics, ``reason`` a sentence for people.
    """

    ticket: Ticket
    epoch: int
    shares: tuple[Share, ...]
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderEvaluation:
    """Take memory for a range of a client's evaluation samples, and ask the client for its smashed data."""

    ticket: Ticket
    share: Share


@dataclass(frozen=True, slots=True)
class ScoreEvaluation:
    """Run the server part on the range that a client has answered, and free its memory."""

    ticket: Ticket
    client: str


@dataclass(frozen=True, slots=True)
class DropEvaluation:
    """Free the memory of the range that a lost client was asked for."""

    ticket: Ticket
    client: str


@dataclass(frozen=True, slots=True)
class EvaluateAtServer:
    """Evaluate the whole model on the server's own data."""

    ticket: Ticket
    epoch: int


@dataclass(frozen=True, slots=True)
class ConcludeEvaluation:
    """All ranges are scored but those of the clients ``missing``, which were lost meanwhile."""

    ticket: Ticket
    epoch: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AbandonEvaluation:
    """Forget what was evaluated so far."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class SaveCheckpoint:
    """Write a checkpoint of the present state."""

    step: int


class EndCause(Enum):
    """Causes for which the coordinator ends a client's stream; they tell the client whether to return."""

    LOST = auto()
    """It did not answer in time, and may return."""
    REPLACED = auto()
    """Another connection of the same client took its place."""
    NON_FINITE = auto()
    """It sent values that are not finite, and would do so again."""


@dataclass(frozen=True, slots=True)
class EndSession:
    """End a client's stream, telling it why."""

    client: str
    session: int
    reason: str
    cause: EndCause = EndCause.LOST


@dataclass(frozen=True, slots=True)
class ReportJoined:
    """Tell that a client joined, or came back."""

    client: str
    samples: int
    returned: bool


@dataclass(frozen=True, slots=True)
class ReportLost:
    """Tell that a client was lost; ``kind`` is one word for metrics, ``reason`` a sentence for people."""

    client: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReportSkipped:
    """Tell that an epoch ended without these samples of lost clients and of skipped steps."""

    epoch: int
    samples: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ReportIgnored:
    """Tell that an answer was late, repeated or not asked for."""

    client: str
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run: tell the clients, keep the model, exit."""

    exit_code: ExitCode
    message: str


Effect = (
    DrawSchedule
    | OrderForward
    | RunServerStep
    | SendCutGradients
    | ApplyUpdate
    | AbandonAttempt
    | OrderEvaluation
    | ScoreEvaluation
    | DropEvaluation
    | EvaluateAtServer
    | ConcludeEvaluation
    | AbandonEvaluation
    | SaveCheckpoint
    | EndSession
    | ReportJoined
    | ReportLost
    | ReportSkipped
    | ReportIgnored
    | Finish
)
