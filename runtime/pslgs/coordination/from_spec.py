"""The coordinator's settings, as a job's spec says them."""

import numpy as np

from pslgs.coordination.schedule_draw import ScheduleSampler
from pslgs.coordination.settings import Settings
from pslgs.sampling.holdings import Holdings
from pslgs.sampling.registry import STRATEGIES
from pslgs.sampling.schedule import Schedule
from pslgs.sampling.strategy import Strategy
from pslgs.spec.job import JobSpec
from pslgs.spec.sampling import SamplingSpec


def settings_from(
    spec: JobSpec,
    expected_clients: int,
    return_seconds: float = 0.0,
    strategy: Strategy | None = None,
) -> Settings:
    """Return the coordinator's settings for a job.

    Args:
        spec: The job's spec.
        expected_clients: How many clients the start waits for.
        return_seconds: See `Settings`; a property of the transport and not of the job.
        strategy: Draws the batches; None for the strategy that the job names.

    Raises:
        ValueError: the strategy has no schedule.
    """
    strategy = strategy or STRATEGIES[spec.sampling.strategy]
    faults, evaluation = spec.fault_tolerance, spec.data.evaluation
    return Settings(
        epochs=spec.epochs,
        seed=spec.sampling.seed,
        draw_schedule=draw_schedule_from(spec.sampling, strategy),
        weighs_clients=strategy.uses_client_stats,
        expected_clients=expected_clients,
        global_batch_size=spec.sampling.global_batch_size,
        quorum=faults.quorum(expected_clients),
        client_timeout=faults.client_timeout_seconds,
        return_seconds=return_seconds,
        quorum_timeout=faults.quorum_timeout_seconds,
        on_lost=faults.on_lost_client,
        on_non_finite=faults.on_non_finite,
        evaluate_every=spec.evaluate_every_epochs,
        evaluate_at=evaluation.at if evaluation else None,
        evaluation_range=spec.sampling.global_batch_size,
        checkpoint_every=spec.checkpoint.every_steps,
        deadline=spec.active_deadline_seconds,
    )


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
