"""What the coordinator is set to, taken from the job's spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pslgs.coordination.schedule_draw import ScheduleSampler
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.faults import OnLostClient, OnNonFinite


@dataclass(frozen=True, slots=True)
class Settings:
    """The decisions that are the user's.

    Attributes:
        epochs: Epochs to train.
        seed: Of the schedule.
        draw_schedule: The sampling strategy.
        weighs_clients: Whether the strategy heeds label counts and delays; they are kept only for it.
        known_delays: Client -> seconds, where they are known before any is measured (simulations).
        expected_clients: How many clients the start waits for.
        quorum: Fewer live clients than this, and the job waits.
        client_timeout: Seconds after which a client that owes an answer is lost.
        return_seconds: Seconds within which every client that looks for its server has tried to reach it; a
            resumed run waits for its clients at least that long.
        quorum_timeout: Seconds of waiting after which the job fails.
        on_lost: What to do when a client is lost.
        on_non_finite: Reaction to values from a client that are not finite.
        global_batch_size: B; the pooled data must hold at least that many samples.
        evaluate_every: Epochs between evaluations.
        evaluate_at: Where the evaluation data are; None where there are none.
        evaluation_range: Evaluation samples asked of a client at a time.
        checkpoint_every: Steps between checkpoints.
        deadline: Seconds of active time after which the job fails; None for no such limit.
    """

    epochs: int
    seed: int
    draw_schedule: ScheduleSampler
    expected_clients: int
    global_batch_size: int
    weighs_clients: bool = False
    known_delays: Mapping[str, float] = field(default_factory=dict)
    quorum: int = 1
    client_timeout: float = 30.0
    return_seconds: float = 0.0
    quorum_timeout: float = 600.0
    on_lost: OnLostClient = OnLostClient.CONTINUE
    on_non_finite: OnNonFinite = OnNonFinite.DROP_CLIENT
    evaluate_every: int = 1
    evaluate_at: EvaluationPlace | None = None
    evaluation_range: int = 128
    checkpoint_every: int = 500
    deadline: float | None = None
