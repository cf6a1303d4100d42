"""`simulate`, for notebooks and comparisons: a job and what is different this time, in; figures, out."""

from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

from pslgs.simulation.choices import SimulatedStrategy, Skew
from pslgs.simulation.direction import run_simulation
from pslgs.simulation.options import Simulation, SimulationOptions, Watch
from pslgs.simulation.profiles import Mix
from pslgs.simulation.result import SimulationResult
from pslgs.simulation.variation import vary
from pslgs.spec.errors import InputError
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.violations import nearest

Choice = TypeVar("Choice", bound=StrEnum)


def simulate(  # noqa: PLR0913 - what a notebook may want to change
    job: SplitTrainingJob,
    *,
    strategy: str | None = None,
    clients: int | None = None,
    partition: str | None = None,
    seed: int | None = None,
    profile: str | Mix | None = None,
    schedule_only: bool = False,
    watch: Watch | None = None,
    options: SimulationOptions | None = None,
) -> SimulationResult:
    """Simulate a job with thousands of virtual clients; what is None stays as the job has it.

    The same arguments give the same batches, losses and weights; of `Global` with the thread counts of a
    run (`SimulationOptions.threads`) those of ``pslgs run``, bit for bit.

    Args:
        job: The manifest.
        strategy: A `SimulatedStrategy`'s name: one of the manifest's, or a baseline.
        clients: K, over which the job's common dataset is dealt out.
        partition: severe, mild or iid.
        seed: Of everything random.
        profile: See `SimulationOptions`; this one counts.
        schedule_only: Likewise.
        watch: Is told of every record as it is made.
        options: The rest.

    Raises:
        InputError: the job, its data or one of the arguments cannot be used.
    """
    chosen = choice(SimulatedStrategy, strategy or job.spec.sampling.strategy.value, "strategy")
    skew = choice(Skew, partition, "partition") if partition else None
    varied = vary(job, strategy=chosen, clients=clients, skew=skew, seed=seed)
    options = options or SimulationOptions()
    options = replace(
        options,
        profile=profile if profile is not None else options.profile,
        schedule_only=schedule_only or options.schedule_only,
    )
    return run_simulation(Simulation(varied, chosen, options), watch or (lambda _record, _steps: None))


def choice(kind: type[Choice], name: str, argument: str) -> Choice:
    """Find a choice by its name; ``argument`` is where the name comes from.

    Raises:
        InputError: there is no such choice.
    """
    try:
        return kind(name)
    except ValueError as error:
        known = [each.value for each in kind]
        raise InputError.at(
            argument, f"is '{name}', must be one of {', '.join(known)}{nearest(name, known)}"
        ) from error
