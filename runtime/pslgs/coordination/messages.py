"""Events that the coordinator receives, and effects that it returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.schedule_draw import DrawId, DrawResult, ScheduleDraw
from pslgs.spec.exit_codes import ExitCode

TICK_SECONDS = 0.25
"""Seconds between two ticks."""


@dataclass(frozen=True, slots=True, order=True)
class ExchangeId:
    """Names one exchange with the clients; an answer under another exchange is late or a lie.

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

    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class RequestSent:
    """The last of what a client needs for its answer was sent to it; its time-out begins anew."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True, eq=False)
class ScheduleDrawn:
    """A schedule is drawn; it is ignored where another draw has been asked for since."""

    draw_id: DrawId
    result: DrawResult


@dataclass(frozen=True, slots=True)
class SmashedDataReceived:
    """A client's smashed data and labels are complete."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class ServerStepDone:
    """The server part ran forward and backward; the cut gradient is there, nothing is applied."""

    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class ClientGradientReceived:
    """A client's gradient is complete."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class UpdateDone:
    """The optimizer step is applied to both parts."""

    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class EvaluationAnswered:
    """A client's smashed data and labels for a range of its evaluation samples are complete."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class EvaluationScored:
    """The server part was run on a client's range, and the memory of its smashed data is free again."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class ServerEvaluationDone:
    """The evaluation of the server's own data is complete."""

    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class NumericFaultFound:
    """The step cannot be computed with the numbers that were received, and nothing of it is applied.

    If no client is to blame, an update may have been applied and have made the parameters unusable.
    """

    exchange: ExchangeId
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


@dataclass(frozen=True, slots=True)
class LocalBatch:
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

    exchange: ExchangeId
    epoch: int
    local_batch: LocalBatch
    next_samples: int


@dataclass(frozen=True, slots=True)
class RunServerStep:
    """Run the server part on the global batch in the order of ``local_batches``; apply nothing."""

    exchange: ExchangeId
    epoch: int
    local_batches: tuple[LocalBatch, ...]


@dataclass(frozen=True, slots=True)
class SendCutGradients:
    """Send every active client its slice of the cut gradient."""

    exchange: ExchangeId
    local_batches: tuple[LocalBatch, ...]


@dataclass(frozen=True, slots=True)
class ApplyUpdate:
    """Sum the client gradients in the order of ``local_batches``; apply one step to both parts."""

    exchange: ExchangeId
    epoch: int
    local_batches: tuple[LocalBatch, ...]


@dataclass(frozen=True, slots=True)
class AbandonAttempt:
    """Forget everything of this attempt, at the server and at its clients, as if it had not begun.

    ``kind`` is one word for metrics, ``reason`` a sentence for people.
    """

    exchange: ExchangeId
    epoch: int
    local_batches: tuple[LocalBatch, ...]
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderEvaluation:
    """Take memory for a range of a client's evaluation samples, and ask the client for its smashed data."""

    exchange: ExchangeId
    local_batch: LocalBatch


@dataclass(frozen=True, slots=True)
class ScoreEvaluation:
    """Run the server part on the range that a client has answered, and free its memory."""

    exchange: ExchangeId
    client: str


@dataclass(frozen=True, slots=True)
class DropEvaluation:
    """Free the memory of the range that a lost client was asked for."""

    exchange: ExchangeId
    client: str


@dataclass(frozen=True, slots=True)
class EvaluateAtServer:
    """Evaluate the whole model on the server's own data."""

    exchange: ExchangeId
    epoch: int


@dataclass(frozen=True, slots=True)
class ConcludeEvaluation:
    """All ranges are scored but those of the clients ``missing``, which were lost meanwhile."""

    exchange: ExchangeId
    epoch: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AbandonEvaluation:
    """Forget what was evaluated so far."""

    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class SaveCheckpoint:
    """Write a checkpoint of the present state."""

    step: int


class EndCause(Enum):
    """Causes for which the coordinator ends a client's stream; they post the client whether to return."""

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
    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run: post the clients, keep the model, exit."""

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
