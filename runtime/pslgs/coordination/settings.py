"""Settings of the coordinator, derived from the job's spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pslgs.coordination.best_evaluation import Comparison
from pslgs.coordination.schedule_draw import ScheduleSampler
from pslgs.sampling.holdings import Holdings
from pslgs.sampling.registry import STRATEGIES
from pslgs.sampling.schedule import Schedule
from pslgs.sampling.strategy import Strategy
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.fault_tolerance import OnHostile, OnLostClient, OnNonFinite
from pslgs.spec.job import JobSpec
from pslgs.spec.metrics import LOWER_IS_BETTER
from pslgs.spec.training import SamplingSpec


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the coordinator.

    Attributes:
        epochs: Number of epochs to train.
        seed: Seed of the schedules.
        draw_schedule: Draws a schedule by the job's sampling strategy.
        uses_client_stats: Whether the strategy uses label counts and response times.
        known_delays: Client -> response time in seconds, if known before any is measured (simulations).
        expected_clients: Number of clients that the start waits for.
        quorum: Minimum number of live clients; with fewer the job waits.
        client_timeout: Maximum seconds that a client may take to answer.
        return_seconds: Maximum seconds between a client's attempts to connect; a resumed run waits for its
            clients at least that long.
        quorum_timeout: Maximum seconds that the job waits for missing clients before it fails.
        on_lost: Reaction to the loss of a client.
        on_non_finite: Reaction to values from a client that are not finite.
        on_hostile: Reaction to a client that violates the protocol.
        global_batch_size: Samples of a global batch; the pooled data must have at least as many.
        evaluate_every: Number of epochs between evaluations.
        evaluate_at: Location of the evaluation data; None if there are none.
        evaluation_range: Maximum evaluation samples requested of a client at a time.
        checkpoint_every: Number of steps between checkpoints.
        deadline: Maximum seconds of active time before the job fails; None for no limit.
        comparison: How evaluations are compared, and when the training ends early.
    """

    epochs: int
    seed: int
    draw_schedule: ScheduleSampler
    expected_clients: int
    global_batch_size: int
    uses_client_stats: bool = False
    known_delays: Mapping[str, float] = field(default_factory=dict)
    quorum: int = 1
    client_timeout: float = 30.0
    return_seconds: float = 0.0
    quorum_timeout: float = 600.0
    on_lost: OnLostClient = OnLostClient.CONTINUE
    on_non_finite: OnNonFinite = OnNonFinite.DROP_CLIENT
    on_hostile: OnHostile = OnHostile.DROP_CLIENT
    evaluate_every: int = 1
    evaluate_at: EvaluationPlace | None = None
    evaluation_range: int = 128
    checkpoint_every: int = 500
    deadline: float | None = None
    comparison: Comparison = field(default_factory=Comparison)


def settings_from(
    spec: JobSpec,
    expected_clients: int,
    return_seconds: float = 0.0,
    strategy: Strategy | None = None,
) -> Settings:
    """Return the coordinator's settings for a job.

    Args:
        spec: The job's spec.
        expected_clients: Number of clients that the start waits for.
        return_seconds: See `Settings`; a property of the transport and not of the job.
        strategy: The sampling strategy; None for the one that the job names.

    Raises:
        ValueError: the strategy has no schedule.
    """
    strategy = strategy or STRATEGIES[spec.sampling.strategy]
    faults, evaluation = spec.fault_tolerance, spec.data.evaluation
    return Settings(
        epochs=spec.epochs,
        seed=spec.sampling.seed,
        draw_schedule=draw_schedule_from(spec.sampling, strategy),
        uses_client_stats=strategy.uses_client_stats,
        expected_clients=expected_clients,
        global_batch_size=spec.sampling.global_batch_size,
        quorum=faults.quorum(expected_clients),
        client_timeout=faults.client_timeout_seconds,
        return_seconds=return_seconds,
        quorum_timeout=faults.quorum_timeout_seconds,
        on_lost=faults.on_lost_client,
        on_non_finite=faults.on_non_finite,
        on_hostile=faults.on_hostile,
        evaluate_every=spec.evaluate_every_epochs,
        evaluate_at=evaluation.at if evaluation else None,
        evaluation_range=spec.sampling.global_batch_size,
        checkpoint_every=spec.checkpoint.every_steps,
        deadline=spec.active_deadline_seconds,
        comparison=comparison_from(spec),
    )


def comparison_from(spec: JobSpec) -> Comparison:
    """Return how the evaluations of a job are compared."""
    metric, stopping = spec.chosen_metric, spec.early_stopping
    higher = metric not in LOWER_IS_BETTER
    if stopping is None:
        return Comparison(metric, higher)
    return Comparison(metric, higher, stopping.patience, stopping.min_delta)


def draw_schedule_from(sampling: SamplingSpec, strategy: Strategy | None = None) -> ScheduleSampler:
    """Bind a strategy's draw to a job's sampling settings; None for the strategy that the job names.

    Raises:
        ValueError: the strategy has no schedule.
    """
    strategy = strategy or STRATEGIES[sampling.strategy]
    draw = strategy.draw
    if draw is None:
        raise ValueError(f"{strategy.name} has no schedule to draw")

    def draw_schedule(holdings: Holdings, rng: np.random.Generator) -> Schedule:
        return draw(holdings, sampling, rng)

    return draw_schedule
