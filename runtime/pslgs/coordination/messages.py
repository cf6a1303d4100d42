"""Events that the coordinator receives, and effects that it returns."""

from collections.abc import Mapping
from dataclasses import dataclass

from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.epoch_position import ONLY_STEP, EpochPosition
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.schedule_draw import DrawId, DrawResult, ScheduleDraw
from pslgs.spec.exit_codes import ExitCode

TICK_SECONDS = 0.25
"""Seconds between two ticks."""


@dataclass(frozen=True, slots=True, order=True)
class ExchangeId:
    """Identifies an exchange with the clients: one attempt at a step, or an evaluation.

    Attributes:
        step: The step, counted from 1; for evaluations the number of steps committed so far.
        attempt: The attempt at the step, counted from 1; 0 for evaluations.
    """

    step: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A client opened a stream and reported its data; label counts are empty for tasks without classes."""

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
class Violated:
    """A client violated the protocol on a stream on which it had joined; the stream ends."""

    client: str
    session: int
    problem: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A client reported that its data, or code of the job's user, cannot be used.

    ``session`` is the number of its stream; None if it has not joined.
    """

    client: str
    session: int | None
    problem: str

    def __str__(self) -> str:
        return f"client {self.client}: {self.problem}"


@dataclass(frozen=True, slots=True)
class RequestsReady:
    """The contents of requests (parameters, cut gradients) are ready, and sending begins.

    Time-outs begin here, because earlier delays are the server's own.
    """

    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A request was sent to a client completely, after a while; its time-out begins anew."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True, eq=False)
class ScheduleDrawn:
    """A schedule is drawn."""

    draw_id: DrawId
    result: DrawResult


@dataclass(frozen=True, slots=True)
class SmashedDataReceived:
    """A client's smashed data and labels are complete."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class ServerStepDone:
    """The server part ran forward and backward; the cut gradient is computed, no update is applied."""

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
    """A client's range was scored, and the memory of its smashed data is free again."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class ServerEvaluationDone:
    """The evaluation of the server's own data is complete, with the value of the chosen metric."""

    exchange: ExchangeId
    value: float | None = None


@dataclass(frozen=True, slots=True)
class EvaluationConcluded:
    """An evaluation at the clients is recorded, with the value of the chosen metric; None if undefined."""

    exchange: ExchangeId
    value: float | None = None


@dataclass(frozen=True, slots=True)
class NumericFaultFound:
    """The step cannot be computed from the values received; no update is applied.

    If no client is to blame, an update may have been applied that made the parameters unusable.
    """

    exchange: ExchangeId
    fault: NumericFault


@dataclass(frozen=True, slots=True)
class CheckpointRefused:
    """No checkpoint was written, because the state is not finite; ``found`` names the value, as a clause."""

    found: str


@dataclass(frozen=True, slots=True)
class CheckpointDone:
    """A checkpoint was written, or could not be written; training continues in both cases."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A clock tick; posted every `TICK_SECONDS`, later if the server was held up."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The process was asked to stop; its progress is to be saved."""

    reason: str


Event = (
    Joined
    | Left
    | Violated
    | Unusable
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
    | EvaluationConcluded
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
    """Draw a schedule, in any thread, and post `ScheduleDrawn`."""

    draw: ScheduleDraw


@dataclass(frozen=True, slots=True)
class OrderForward:
    """Send an active client the position of its local batch and the parameters of the client part.

    ``next_samples`` is the size of its next batch by the schedule, which begins where this one ends; the
    client loads it ahead.
    """

    exchange: ExchangeId
    epoch: int
    local_batch: LocalBatch
    next_samples: int


@dataclass(frozen=True, slots=True)
class RunServerStep:
    """Run the server part on the global batch in the order of ``local_batches``; apply no update."""

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
    position: EpochPosition = ONLY_STEP


@dataclass(frozen=True, slots=True)
class AbandonAttempt:
    """Drop an attempt at the server and at its clients, as if it had not begun.

    ``kind`` is one word for metrics, ``reason`` a sentence for people.
    """

    exchange: ExchangeId
    epoch: int
    local_batches: tuple[LocalBatch, ...]
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderEvaluation:
    """Allocate memory for a range of a client's evaluation samples, and request its smashed data."""

    exchange: ExchangeId
    local_batch: LocalBatch


@dataclass(frozen=True, slots=True)
class ScoreEvaluation:
    """Run the server part on the range that a client has sent, and free its memory."""

    exchange: ExchangeId
    client: str


@dataclass(frozen=True, slots=True)
class DropEvaluation:
    """Free the memory of the range that was requested of a lost client."""

    exchange: ExchangeId
    client: str


@dataclass(frozen=True, slots=True)
class EvaluateAtServer:
    """Evaluate the whole model on the server's own data."""

    exchange: ExchangeId
    epoch: int


@dataclass(frozen=True, slots=True)
class ConcludeEvaluation:
    """Record an evaluation whose ranges are all scored, except those of the ``missing`` clients.

    Then post `EvaluationConcluded`.
    """

    exchange: ExchangeId
    epoch: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AbandonEvaluation:
    """Drop an evaluation and its scores."""

    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class KeepBest:
    """Keep the present model, whose evaluation after ``epoch`` is the best so far."""

    step: int
    epoch: int
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class SaveCheckpoint:
    """Write a checkpoint of the present state; post `CheckpointDone` or `CheckpointRefused`."""

    step: int


@dataclass(frozen=True, slots=True)
class EndSession:
    """End a client's stream with a reason."""

    client: str
    session: int
    reason: str
    cause: EndCause = EndCause.LOST


@dataclass(frozen=True, slots=True)
class ReportJoined:
    """Report that a client joined or returned."""

    client: str
    samples: int
    returned: bool


@dataclass(frozen=True, slots=True)
class ReportLost:
    """Report a lost client; ``kind`` is one word for metrics, ``reason`` a sentence for people."""

    client: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReportExcluded:
    """Report a client that may not return to this server process; ``reason`` is a sentence for people."""

    client: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReportSkipped:
    """Report the samples of lost clients and of skipped steps that an epoch was not trained on."""

    epoch: int
    samples: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ReportIgnored:
    """Report a complete answer that was not expected."""

    client: str
    exchange: ExchangeId


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run: inform the clients, write the model if it is finished, exit.

    ``early`` is true if early stopping finished the training before its last epoch.
    """

    exit_code: ExitCode
    message: str
    early: bool = False


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
    | KeepBest
    | SaveCheckpoint
    | EndSession
    | ReportJoined
    | ReportLost
    | ReportExcluded
    | ReportSkipped
    | ReportIgnored
    | Finish
)
