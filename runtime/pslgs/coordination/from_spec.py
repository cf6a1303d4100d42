"""The coordinator's settings, as a job's spec says them."""

from collections.abc import Sequence

import numpy as np

from pslgs.coordination.epoch import DrawSchedule
from pslgs.coordination.settings import Settings
from pslgs.sampling.schedule import (
    Schedule,
    draw_global_schedule,
    fixed_local_schedule,
    fixed_proportional_schedule,
)
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.spec.sampling import SamplingSpec, SamplingStrategy


def settings_from(spec: JobSpec, expected_clients: int) -> Settings:
    """Take from ``spec`` what the coordinator needs to know.

    Raises:
        InputError: the sampling strategy is not available.
    """
    faults, evaluation = spec.fault_tolerance, spec.data.evaluation
    return Settings(
        epochs=spec.epochs,
        seed=spec.sampling.seed,
        draw_schedule=draw_schedule_from(spec.sampling),
        expected_clients=expected_clients,
        global_batch_size=spec.sampling.global_batch_size,
        quorum=faults.quorum(expected_clients),
        client_timeout=faults.client_timeout_seconds,
        quorum_timeout=faults.quorum_timeout_seconds,
        on_lost=faults.on_lost_client,
        evaluate_every=spec.evaluate_every_epochs,
        evaluate_at=evaluation.at if evaluation else None,
        evaluation_range=spec.sampling.global_batch_size,
        checkpoint_every=spec.checkpoint.every_steps,
        deadline=spec.active_deadline_seconds,
    )


def draw_schedule_from(sampling: SamplingSpec) -> DrawSchedule:
    """Return the sampling strategy with its options.

    Raises:
        InputError: the strategy is not available.
    """
    batch_size = sampling.global_batch_size

    def draw(remaining: Sequence[int], rng: np.random.Generator) -> Schedule:
        match sampling.strategy:
            case SamplingStrategy.FIXED_LOCAL:
                return fixed_local_schedule(remaining, batch_size)
            case SamplingStrategy.FIXED_PROPORTIONAL_LOCAL:
                return fixed_proportional_schedule(remaining, batch_size)
            case _:
                return draw_global_schedule(remaining, batch_size, rng)

    if sampling.strategy is SamplingStrategy.LATENT_DIRICHLET:
        raise InputError.at(
            "spec.sampling.strategy",
            "is LatentDirichlet, which this version cannot train with yet; choose Global, FixedLocal or "
            "FixedProportionalLocal",
        )
    return draw
