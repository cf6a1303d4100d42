"""The coordinator's settings, as a job's spec says them."""

import numpy as np

from pslgs.coordination.schedule_draw import ScheduleSampler
from pslgs.coordination.settings import Settings
from pslgs.sampling.holdings import Holdings
from pslgs.sampling.latent_dirichlet import latent_dirichlet_schedule
from pslgs.sampling.schedule import (
    Schedule,
    draw_global_schedule,
    fixed_local_schedule,
    fixed_proportional_schedule,
)
from pslgs.spec.job import JobSpec
from pslgs.spec.sampling import SamplingSpec, SamplingStrategy


def settings_from(spec: JobSpec, expected_clients: int, return_seconds: float = 0.0) -> Settings:
    """Take from ``spec`` what the coordinator needs to know.

    Args:
        spec: The job's spec.
        expected_clients: How many clients the start waits for.
        return_seconds: See `Settings`; a property of the transport and not of the job.
    """
    faults, evaluation = spec.fault_tolerance, spec.data.evaluation
    return Settings(
        epochs=spec.epochs,
        seed=spec.sampling.seed,
        draw_schedule=draw_schedule_from(spec.sampling),
        weighs_clients=spec.sampling.strategy is SamplingStrategy.LATENT_DIRICHLET,
        expected_clients=expected_clients,
        global_batch_size=spec.sampling.global_batch_size,
        quorum=faults.quorum(expected_clients),
        client_timeout=faults.client_timeout_seconds,
        return_seconds=return_seconds,
        quorum_timeout=faults.quorum_timeout_seconds,
        on_lost=faults.on_lost_client,
        evaluate_every=spec.evaluate_every_epochs,
        evaluate_at=evaluation.at if evaluation else None,
        evaluation_range=spec.sampling.global_batch_size,
        checkpoint_every=spec.checkpoint.every_steps,
        deadline=spec.active_deadline_seconds,
    )


def draw_schedule_from(sampling: SamplingSpec) -> ScheduleSampler:
    """Return the sampling strategy with its options."""
    batch_size = sampling.global_batch_size

    def draw(holdings: Holdings, rng: np.random.Generator) -> Schedule:
        match sampling.strategy:
            case SamplingStrategy.GLOBAL:
                return draw_global_schedule(holdings.remaining, batch_size, rng)
            case SamplingStrategy.FIXED_LOCAL:
                return fixed_local_schedule(holdings.remaining, batch_size)
            case SamplingStrategy.FIXED_PROPORTIONAL_LOCAL:
                return fixed_proportional_schedule(holdings.remaining, batch_size)
            case SamplingStrategy.LATENT_DIRICHLET:
                return latent_dirichlet_schedule(holdings, batch_size, sampling.latent_dirichlet, rng)

    return draw
