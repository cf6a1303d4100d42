"""`simulate`: run a job with virtual clients and return its figures, for notebooks and comparisons."""

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
    """Simulate a job whose manifest needs no further change.

    Args:
        simulation: The job, the strategy and the options.
        watch: Called with each record, and with the number of steps in all (0 while that is unknown).

    Raises:
        InputError: the job or its data cannot be used.
    """
    spec, options = simulation.job.spec, simulation.options
    setup = build_simulation_setup(
        spec, options.client_ids, options.cache.expanduser(), evaluated=not options.schedule_only
    )
    if simulation.strategy.draw is None:
        if options.schedule_only:
            raise InputError.at(
                "--strategy", f"is {simulation.strategy.name}, which has no schedule; train it"
            )
        traffic = averaging_traffic(setup.task, setup.network)
        result = ResultBuilder(traffic)
        write = _both(result.write, lambda record: watch(record, spec.epochs))
        run_federated(spec, setup, _time_model(simulation, setup, traffic), write, options)
    else:
        traffic = task_traffic(setup.task, setup.network.client_part, spec.transport.compression)
        result = ResultBuilder(traffic)
        _run(simulation, setup, _time_model(simulation, setup, traffic), result.write, watch)
    return _result(simulation, setup, result)


def _run(
    simulation: Simulation, setup: SimulationSetup, times: ClientTimeModel, write: Write, watch: Watch
) -> None:
    """Run the coordinator, with training or with labels only."""
    label_counts = setup.label_counts()
    simulator = EventSimulator(_settings(simulation, setup, times), _joined(setup, label_counts), times)
    recorder = SimulationRecorder(
        _executor(simulation, setup),
        None if label_counts is None else label_counts.sum(axis=0),
        _both(write, lambda record: watch(record, simulator.coordinator.total_steps())),
        wall_time=time.time,
        clock=time.perf_counter,
        virtual_time=(lambda: simulator.now) if times.profiles else None,
    )
    simulator.run(recorder.perform)


def _settings(simulation: Simulation, setup: SimulationSetup, times: ClientTimeModel) -> Settings:
    spec, batch_size = simulation.job.spec, simulation.job.spec.sampling.global_batch_size
    settings = settings_from(spec, len(setup.clients), strategy=simulation.strategy)
    if settings.uses_client_stats:
        settings = replace(settings, known_delays=times.delays(setup.dataset_sizes, batch_size))
    return replace(settings, evaluate_at=None) if simulation.options.schedule_only else settings


def _time_model(simulation: Simulation, setup: SimulationSetup, traffic: StepTraffic) -> ClientTimeModel:
    """Draw the clients' profiles; pooled data have neither links nor client devices."""
    options = simulation.options
    if options.profile is None or simulation.strategy.pools_data:
        return ClientTimeModel()
    profiles = assign(options.profile, list(setup.clients), simulation.job.spec.sampling.seed)
    return ClientTimeModel(profiles, traffic, options.server_samples_per_second)


def _executor(simulation: Simulation, setup: SimulationSetup) -> Executor:
    spec, options = simulation.job.spec, simulation.options
    if options.schedule_only:
        return LabelExecutor(setup.classes(), spec.sampling.seed)
    return TrainingExecutor(
        setup.task,
        setup.network,
        setup.clients,
        setup.evaluation,
        spec.sampling.global_batch_size,
        spec.transport.compression,
        options.threads,
        options.recalibration_batches,
        choose_device(options.device),
    )


def _joined(setup: SimulationSetup, label_counts: NDArray[np.int64] | None) -> list[Joined]:
    rows = [[]] * len(setup.clients) if label_counts is None else label_counts.tolist()
    return [
        Joined(
            name,
            session=0,
            samples=client.training.samples,
            evaluation_samples=client.evaluation.samples if client.evaluation else 0,
            label_counts=tuple(row),
        )
        for (name, client), row in zip(setup.clients.items(), rows, strict=True)
    ]


def _both(one: Write, other: Write) -> Write:
    def write(record: Record) -> None:
        one(record)
        other(record)

    return write


def _result(simulation: Simulation, setup: SimulationSetup, result: ResultBuilder) -> SimulationResult:
    if result.finish is None:
        raise LookupError("the simulation has not come to an end")
    return SimulationResult(
        strategy=simulation.strategy.name,
        clients=len(setup.clients),
        seed=simulation.job.spec.sampling.seed,
        dataset_sizes=setup.dataset_sizes,
        sample_bytes=math.prod(setup.task.input_shape) * setup.task.layout.dtype.itemsize,
        label_counts=setup.label_counts(),
        steps=result.steps(),
        evaluations=tuple(result.evaluations),
        finish=result.finish,
        model=None if simulation.options.schedule_only else _on_cpu(setup.network.named_tensors()),
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
    """Simulate a job with up to thousands of virtual clients.

    Equal arguments give equal batches, losses and weights.  With the thread counts of a run
    (`SimulationOptions.threads`), they are bit-identical to those of ``pslgs run``.

    Args:
        job: The manifest.
        strategy: Name of a sampling strategy, one of the manifest's or a baseline.
            None for the job's own, as for the other arguments.
        clients: K, number of clients among which the common dataset is partitioned.
        partition: Name of a `Skew`: severe, mild or iid.
        seed: Seed of every random number.
        profile: Links and machines of the clients, as in `parse_mix`; overrides that of ``options``.
        schedule_only: Whether to draw the batches without training; overrides that of ``options`` if True.
        watch: Called with each record, and with the number of steps in all (0 while that is unknown).
        options: All other options.

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
    """Return the member of an enumeration that is called ``name``.

    Raises:
        InputError: there is none; the error names ``argument``.
    """
    try:
        return kind(name)
    except ValueError as error:
        known = [each.value for each in kind]
        raise InputError.at(
            argument, f"is '{name}', must be one of {', '.join(known)}{nearest(name, known)}"
        ) from error
