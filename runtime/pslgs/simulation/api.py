"""`simulate`: run a job with virtual clients and return its figures, for notebooks and comparisons."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pslgs.coordination.messages import Effect, Joined, KeepBest
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.settings import Settings, settings_from
from pslgs.costs.time_model import ClientTimeModel
from pslgs.costs.traffic import StepTraffic, averaging_traffic, task_traffic
from pslgs.data.left_out import counts_by_reason
from pslgs.model_inputs import elements
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
from pslgs.telemetry.records import ClientRecord, Record, WeightsRecord
from pslgs.training.description import ModelDescription, describe
from pslgs.training.device import choose_device

Tensors = Mapping[str, Tensor]


class KeepModel(Protocol):
    """Keeps the present tensors of the whole network by name, which change with the next step."""

    def __call__(self, tensors: Tensors, description: ModelDescription) -> None:
        """Keep them, or copies of them."""


def run_simulation(
    simulation: Simulation, watch: Watch, keep_best: KeepModel | None = None
) -> SimulationResult:
    """Simulate a job whose manifest needs no further change.

    Args:
        simulation: The job, the strategy and the options.
        watch: Called with each record, and with the number of steps in all (0 while that is unknown).
        keep_best: Called with the model after each evaluation that is the best so far.

    Raises:
        InputError: the job or its data cannot be used.
    """
    spec, options = simulation.job.spec, simulation.options
    setup = build_simulation_setup(
        spec,
        options.client_ids,
        options.cache.expanduser(),
        evaluated=not options.schedule_only,
        pooled=simulation.strategy.pools_data,
    )
    if setup.initial_weights is not None:
        watch(WeightsRecord(time.time(), 0, str(setup.initial_weights)), 0)
    keep: Callable[[Tensors], None] | None = None
    if keep_best is not None:
        keep = partial(keep_best, description=_description(simulation, setup))
    if simulation.strategy.draw is None:
        if options.schedule_only:
            raise InputError.at(
                "--strategy", f"is {simulation.strategy.name}, which has no schedule; train it"
            )
        traffic = averaging_traffic(setup.task, setup.network)
        result = ResultBuilder(traffic)
        write = _both(result.write, lambda record: watch(record, spec.epochs))
        _write_left_out(setup, write)
        run_federated(spec, setup, _time_model(simulation, setup, traffic), write, options, keep)
        model: Tensors | None = setup.network.named_tensors()
    else:
        traffic = task_traffic(setup.task, setup.network.client_part, spec.transport.compression)
        result = ResultBuilder(traffic)
        _write_left_out(setup, _both(result.write, lambda record: watch(record, 0)))
        times = _time_model(simulation, setup, traffic)
        model = _run(simulation, setup, times, result.write, watch, keep)
    return _result(simulation, setup, result, model)


def _run(  # noqa: PLR0913, PLR0917 - what is simulated, and where its results go
    simulation: Simulation,
    setup: SimulationSetup,
    times: ClientTimeModel,
    write: Write,
    watch: Watch,
    keep_best: Callable[[Tensors], None] | None,
) -> Tensors | None:
    """Run the coordinator, with training or with labels only; return the tensors of the trained model."""
    executor = _executor(simulation, setup)
    label_counts = setup.label_counts()
    settings = _settings(simulation, setup, times)
    simulator = EventSimulator(settings, _joined(setup, label_counts), times)
    recorder = SimulationRecorder(
        executor,
        None if label_counts is None else label_counts.sum(axis=0),
        _both(write, lambda record: watch(record, simulator.coordinator.total_steps())),
        wall_time=time.time,
        clock=time.perf_counter,
        virtual_time=(lambda: simulator.now) if times.profiles else None,
        metric=settings.comparison.metric,
        class_names=setup.class_names or (),
    )

    def perform(effect: Effect) -> NumericFault | float | None:
        if isinstance(effect, KeepBest) and keep_best is not None and isinstance(executor, TrainingExecutor):
            keep_best(executor.server.named_tensors())
        return recorder.perform(effect)

    simulator.run(perform)
    return executor.server.named_tensors() if isinstance(executor, TrainingExecutor) else None


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


def _write_left_out(setup: SimulationSetup, write: Write) -> None:
    """Record the clients that leave something out of their data; joins of others are not recorded."""
    for name, client in setup.clients.items():
        datasets = filter(None, (client.training, client.evaluation))
        left_out = counts_by_reason(each for data in datasets for each in data.left_out)
        if left_out:
            samples = client.training.samples
            write(ClientRecord(time.time(), 0, name, "joined", "it is new", samples, left_out=left_out))


def _both(one: Write, other: Write) -> Write:
    def write(record: Record) -> None:
        one(record)
        other(record)

    return write


def _result(
    simulation: Simulation,
    setup: SimulationSetup,
    result: ResultBuilder,
    model: Tensors | None,
) -> SimulationResult:
    if result.finish is None:
        raise LookupError("the simulation has not come to an end")
    return SimulationResult(
        strategy=simulation.strategy.name,
        clients=len(setup.clients),
        seed=simulation.job.spec.sampling.seed,
        dataset_sizes=setup.dataset_sizes,
        sample_bytes=elements(setup.task.input_shape) * setup.task.layout.dtype.itemsize,
        label_counts=setup.label_counts(),
        steps=result.steps(),
        evaluations=tuple(result.evaluations),
        finish=result.finish,
        model=None if model is None else {name: tensor.cpu() for name, tensor in model.items()},
        description=_description(simulation, setup),
    )


def _description(simulation: Simulation, setup: SimulationSetup) -> ModelDescription:
    return describe(simulation.job.spec, setup.task, setup.network, setup.class_names, setup.scale)


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
