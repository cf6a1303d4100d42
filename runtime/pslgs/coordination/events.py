"""What the coordinator is told."""

from dataclasses import dataclass

from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.schedule_draw import DrawId, DrawResult

TICK_SECONDS = 0.25
"""Seconds between two ticks."""


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """Names one exchange with the clients; an answer under another ticket is late or a lie.

    Attributes:
        step: The step being tried, counted from 1; for evaluations the steps committed so far.
        attempt: The attempt at it, counted from 1; 0 for evaluations.
    """

    step: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A client opened a stream and said what it holds; label counts are empty where there are no classes."""

    client: str
    session: int
    samples: int
    evaluation_samples: int = 0
    label_counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Left:
    """A client's stream ended, or was ended because of what the client sent."""

    client: str
    session: int
    reason: str


@dataclass(frozen=True, slots=True)
class RequestsReady:
    """What the clients need for their answers (parameters, cut gradients) is at hand and begins to go out.

    Time-outs begin here, because the waits before are the server's own.
    """

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class RequestSent:
    """The last of what a client needs for its answer was sent to it; its time-out begins anew."""

    client: str
    ticket: Ticket


@dataclass(frozen=True, slots=True, eq=False)
class ScheduleDrawn:
    """A schedule is drawn; it is ignored where another draw has been asked for since."""

    draw_id: DrawId
    result: DrawResult


@dataclass(frozen=True, slots=True)
class SmashedDataReceived:
    """A client's smashed data and labels are complete."""

    client: str
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class ServerStepDone:
    """The server part ran forward and backward; the cut gradient is there, nothing is applied."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class ClientGradientReceived:
    """A client's gradient is complete."""

    client: str
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class UpdateDone:
    """The optimizer step is applied to both parts."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class EvaluationAnswered:
    """A client's smashed data and labels for a range of its evaluation samples are complete."""

    client: str
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class EvaluationScored:
    """The server part was run on a client's range, and the memory of its smashed data is free again."""

    client: str
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class ServerEvaluationDone:
    """The evaluation of the server's own data is complete."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class NumericFaultFound:
    """The step cannot be computed with the numbers that were received, and nothing of it is applied.

    If no client is to blame, an update may have been applied and have made the parameters unusable.
    """

    ticket: Ticket
    fault: NumericFault


@dataclass(frozen=True, slots=True)
class CheckpointRefused:
    """No checkpoint was written, because the state is not finite; ``found`` says what of it, as a clause."""

    found: str


@dataclass(frozen=True, slots=True)
class CheckpointDone:
    """A checkpoint is written, or could not be; training goes on either way."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; comes every `TICK_SECONDS`, later if the server was held up."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The process was asked to stop; what was reached is to be kept."""

    reason: str


Event = (
    Joined
    | Left
    | ScheduleDrawn
    | RequestsReady
    | RequestSent
    | SmashedDataReceived
    | ServerStepDone
    | ClientGradientReceived
    | UpdateDone
    | EvaluationAnswered
    | EvaluationScored
    | ServerEvaluationDone
    | NumericFaultFound
    | CheckpointDone
    | CheckpointRefused
    | Tick
    | StopRequested
)
