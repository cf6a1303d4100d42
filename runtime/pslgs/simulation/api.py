"""`simulate`, for notebooks and comparisons: a job and what is different this time, in; figures, out."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pslgs.coordination.messages import Joined
from pslgs.coordination.settings import Settings, settings_from
from pslgs.costs.time_model import ClientTimeModel
from pslgs.costs.traffic import StepTraffic, averaging_traffic, task_traffic
from pslgs.sampling.registry import strategy_named
from pslgs.simulation.event_simulator import EventSimulator
from pslgs.simulation.executors import LabelExecutor, TrainingExecutor
from pslgs.simulation.federated import run_federated
from pslgs.simulation.job_variants import Skew, job_variant
from pslgs.simulation.outcomes import Executor
from pslgs.simulation.recorder import SimulationRecorder, Write
from pslgs.simulation.result import ResultBuilder, SimulationResult
from pslgs.simulation.setup import (
    Mix,
    Simulation,
    SimulationOptions,
    SimulationSetup,
    Watch,
    assign,
    build_simulation_setup,
    parse_mix,
)
from pslgs.spec.errors import InputError
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.violations import nearest
from pslgs.telemetry.records import Record
from pslgs.training.device import choose_device


def run_simulation(simulation: Simulation, watch: Watch) -> SimulationResult:
    """Simulate a job as it is.

    Raises:
        InputError: the job or its data cannot be used.
    """
    spec, options = simulation.job.spec, simulation.options
    cast = build_simulation_setup(
        spec, options.client_ids, options.cache.expanduser(), evaluated=not options.schedule_only
    )
    if simulation.strategy.draw is None:
        if options.schedule_only:
            raise InputError.at(
                "--strategy", f"is {simulation.strategy.name}, which has no schedule; train it"
            )
        traffic = averaging_traffic(cast.task, cast.network)
        columns = ResultBuilder(traffic)
        write = _both(columns.write, lambda record: watch(record, spec.epochs))
        run_federated(spec, cast, _time_model(simulation, cast, traffic), write, options)
    else:
        traffic = task_traffic(cast.task, cast.network.client_part, spec.transport.compression)
        columns = ResultBuilder(traffic)
        _lead(simulation, cast, _time_model(simulation, cast, traffic), columns.write, watch)
    return _result(simulation, cast, columns)


def _lead(
    simulation: Simulation, cast: SimulationSetup, times: ClientTimeModel, write: Write, watch: Watch
) -> None:
    """Lead the coordinator through the job."""
    counts = cast.label_counts()
    world = EventSimulator(_settings(simulation, cast, times), _joined(cast, counts), times)
    accounts = SimulationRecorder(
        _work(simulation, cast),
        None if counts is None else counts.sum(axis=0),
        _both(write, lambda record: watch(record, world.coordinator.steps_in_all())),
        wall_time=time.time,
        clock=time.perf_counter,
        virtual_time=(lambda: world.now) if times.profiles else None,
    )
    world.run(accounts.perform)


def _settings(simulation: Simulation, cast: SimulationSetup, times: ClientTimeModel) -> Settings:
    spec, batch_size = simulation.job.spec, simulation.job.spec.sampling.global_batch_size
    settings = settings_from(spec, len(cast.clients), strategy=simulation.strategy)
    if settings.uses_client_stats:
        settings = replace(settings, known_delays=times.delays(cast.dataset_sizes, batch_size))
    return replace(settings, evaluate_at=None) if simulation.options.schedule_only else settings


def _time_model(simulation: Simulation, cast: SimulationSetup, traffic: StepTraffic) -> ClientTimeModel:
    """Draw the clients' profiles; pooled data have neither links nor edge devices."""
    options = simulation.options
    if options.profile is None or simulation.strategy.pools_data:
        return ClientTimeModel()
    profiles = assign(options.profile, list(cast.clients), simulation.job.spec.sampling.seed)
    return ClientTimeModel(profiles, traffic, options.server_samples_per_second)


def _work(simulation: Simulation, cast: SimulationSetup) -> Executor:
    spec, options = simulation.job.spec, simulation.options
    if options.schedule_only:
        return LabelExecutor(cast.classes(), spec.sampling.seed)
    return TrainingExecutor(
        cast.task,
        cast.network,
        cast.clients,
        cast.evaluation,
        spec.sampling.global_batch_size,
        spec.transport.compression,
        options.threads,
        options.recalibration_batches,
        choose_device(options.device),
    )


def _joined(cast: SimulationSetup, counts: NDArray[np.int64] | None) -> list[Joined]:
    rows = [[]] * len(cast.clients) if counts is None else counts.tolist()
    return [
        Joined(
            name,
            session=0,
            samples=client.training.samples,
            evaluation_samples=client.evaluation.samples if client.evaluation else 0,
            label_counts=tuple(row),
        )
        for (name, client), row in zip(cast.clients.items(), rows, strict=True)
    ]


def _both(one: Write, other: Write) -> Write:
    def write(record: Record) -> None:
        one(record)
        other(record)

    return write


def _result(simulation: Simulation, cast: SimulationSetup, columns: ResultBuilder) -> SimulationResult:
    if columns.finish is None:
        raise LookupError("the simulation has not come to an end")
    return SimulationResult(
        strategy=simulation.strategy.name,
        clients=len(cast.clients),
        seed=simulation.job.spec.sampling.seed,
        dataset_sizes=cast.dataset_sizes,
        sample_bytes=math.prod(cast.task.input_shape) * cast.task.layout.dtype.itemsize,
        label_counts=cast.label_counts(),
        steps=columns.steps(),
        evaluations=tuple(columns.evaluations),
        finish=columns.finish,
        model=None if simulation.options.schedule_only else _on_cpu(cast.network.named_tensors()),
    )


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}


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
        strategy: Name of a sampling strategy, one of the manifest's or a baseline.
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
    chosen = strategy_named(strategy or job.spec.sampling.strategy, "strategy")
    skew = choice(Skew, partition, "partition") if partition else None
    varied = job_variant(job, strategy=chosen, clients=clients, skew=skew, seed=seed)
    options = options or SimulationOptions()
    options = replace(
        options,
        profile=parse_mix(profile) if isinstance(profile, str) else profile or options.profile,
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
