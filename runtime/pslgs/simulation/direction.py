"""Puts a simulation together and leads it to its end: coordinator, world, work and accounts."""

import math
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pslgs.coordination.events import Joined
from pslgs.coordination.from_spec import settings_from
from pslgs.coordination.settings import Settings
from pslgs.observability.records import Record
from pslgs.sampling.schedule import sequential_schedule
from pslgs.simulation.accounts import Accounts, Write
from pslgs.simulation.cast import Cast, assemble
from pslgs.simulation.choices import SimulatedStrategy
from pslgs.simulation.federated_run import run_federated
from pslgs.simulation.federated_time import averaging_payload
from pslgs.simulation.learning import Learning
from pslgs.simulation.options import Simulation, Watch
from pslgs.simulation.outcomes import Work
from pslgs.simulation.profiles import assign, parse_mix
from pslgs.simulation.reading import Reading
from pslgs.simulation.result import Columns, SimulationResult
from pslgs.simulation.virtual_time import Fleet, step_payload
from pslgs.simulation.world import World
from pslgs.spec.errors import InputError
from pslgs.wire.payload import Payload


def run_simulation(simulation: Simulation, watch: Watch) -> SimulationResult:
    """Simulate a job as it is.

    Raises:
        InputError: the job or its data cannot be used.
    """
    spec, options = simulation.job.spec, simulation.options
    cast = assemble(spec, options.client_ids, options.cache.expanduser(), evaluated=not options.schedule_only)
    if simulation.strategy is SimulatedStrategy.FEDERATED_AVERAGING:
        if options.schedule_only:
            raise InputError.at("--strategy", "is FederatedAveraging, which has no schedule; train it")
        payload = averaging_payload(cast.task)
        columns = Columns(payload)
        write = _both(columns.write, lambda record: watch(record, spec.epochs))
        run_federated(spec, cast, _fleet(simulation, cast, payload), write, options.recalibration_batches)
    else:
        payload = step_payload(cast.task, spec.transport.compression)
        columns = Columns(payload)
        _lead(simulation, cast, _fleet(simulation, cast, payload), columns.write, watch)
    return _result(simulation, cast, columns)


def _lead(simulation: Simulation, cast: Cast, fleet: Fleet, write: Write, watch: Watch) -> None:
    """Lead the coordinator through the job."""
    counts = cast.label_counts()
    world = World(_settings(simulation, cast, fleet), _joined(cast, counts), fleet)
    accounts = Accounts(
        _work(simulation, cast),
        None if counts is None else counts.sum(axis=0),
        _both(write, lambda record: watch(record, world.coordinator.steps_in_all())),
        wall_time=time.time,
        clock=time.perf_counter,
        virtual_time=(lambda: world.now) if fleet.profiles else None,
    )
    world.run(accounts.perform)


def _settings(simulation: Simulation, cast: Cast, fleet: Fleet) -> Settings:
    spec, batch_size = simulation.job.spec, simulation.job.spec.sampling.global_batch_size
    settings = settings_from(spec, len(cast.clients))
    if settings.weighs_clients:
        settings = replace(settings, known_delays=fleet.delays(cast.dataset_sizes, batch_size))
    if simulation.strategy is SimulatedStrategy.SEQUENTIAL_SPLIT:
        settings = replace(
            settings, draw_schedule=lambda holdings, _: sequential_schedule(holdings.remaining, batch_size)
        )
    return replace(settings, evaluate_at=None) if simulation.options.schedule_only else settings


def _fleet(simulation: Simulation, cast: Cast, payload: Payload) -> Fleet:
    """Draw the clients' profiles; pooled data have neither links nor edge devices."""
    options = simulation.options
    if options.profile is None or simulation.strategy is SimulatedStrategy.CENTRALIZED:
        return Fleet()
    mix = parse_mix(options.profile) if isinstance(options.profile, str) else options.profile
    profiles = assign(mix, list(cast.clients), simulation.job.spec.sampling.seed)
    return Fleet(profiles, payload, options.server_samples_per_second)


def _work(simulation: Simulation, cast: Cast) -> Work:
    spec, options = simulation.job.spec, simulation.options
    if options.schedule_only:
        return Reading(cast.classes(), spec.sampling.seed)
    return Learning(
        cast.task,
        cast.clients,
        cast.evaluation,
        spec.sampling.global_batch_size,
        spec.transport.compression,
        options.threads,
        options.recalibration_batches,
    )


def _joined(cast: Cast, counts: NDArray[np.int64] | None) -> list[Joined]:
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


def _result(simulation: Simulation, cast: Cast, columns: Columns) -> SimulationResult:
    if columns.finish is None:
        raise LookupError("the simulation has not come to an end")
    return SimulationResult(
        strategy=simulation.strategy,
        clients=len(cast.clients),
        seed=simulation.job.spec.sampling.seed,
        dataset_sizes=cast.dataset_sizes,
        sample_bytes=math.prod(cast.task.input_shape) * cast.task.layout.dtype.itemsize,
        label_counts=cast.label_counts(),
        steps=columns.steps(),
        evaluations=tuple(columns.evaluations),
        finish=columns.finish,
        model=cast.task.network.named_tensors() if not simulation.options.schedule_only else None,
    )
