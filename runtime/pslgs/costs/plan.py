"""`plan`: predict what a job will do and cost."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pslgs.costs.advice import advise, recommend
from pslgs.costs.cuts import (
    Candidate,
    Costing,
    candidates,
    compressed_step_seconds,
    cut_figures,
    deduplicate_cuts,
    every_layer,
    stages,
)
from pslgs.costs.inputs import ASSUMED_SAMPLES, OPTION, AvailableData, Environment, PlannedJob, examine
from pslgs.costs.machine_speed import MAX_SPREAD, Speed, measured_speed
from pslgs.costs.result import Advice, CutFigures, Plan
from pslgs.costs.time_model import Conditions
from pslgs.data.loading import TRAINING
from pslgs.process.machine import available_cores, cores_of_client
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.registry import STRATEGIES
from pslgs.sampling.schedule_statistics import DataDistribution, EpochStatistics
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.training import SamplingSpec

_UNREAD = AvailableData()


def plan(
    job: SplitTrainingJob,
    environment: Environment,
    data: AvailableData = _UNREAD,
    clock: Callable[[], float] = time.perf_counter,
) -> Plan:
    """Predict what a job will do and cost.

    Args:
        job: The job.
        environment: Links, memory and speeds, and sizes of datasets that cannot be read.
        data: The clients' data, as far as they can be read here.
        clock: Returns seconds; used to measure speeds that are not given.

    Raises:
        InputError: the job cannot be run as it is, or too little is known of its clients and their data.
    """
    planned = examine(job.spec, environment, data)
    strategies = _strategies(planned)
    own = next(each for each in strategies if each.strategy == job.spec.sampling.strategy)
    client, server = _speeds(environment, planned, round(own.largest_local_batch), clock)
    gpus = max(1, planned.spec.server.gpus)
    costing = Costing(
        planned.task.objective,
        job.spec.transport.compression,
        own,
        Conditions(environment.link, client.flops, server.flops, gpus),
        job.spec.optimizer,
        averages=job.spec.ema.decay is not None,
    )
    cuts = tuple(cut_figures(*each, costing) for each in _cuts(planned, all_cuts=environment.all_cuts))
    predicted = _plan(job, environment, _Findings(planned, strategies, cuts, costing))
    remarks = (*_assumption(environment, data), *_unsteady(client, server))
    return replace(predicted, advice=(*remarks, *advise(job.spec, planned.distribution, predicted)))


def expected_epochs(
    distribution: DataDistribution, batch_size: int, sampling: SamplingSpec, rng: np.random.Generator
) -> tuple[EpochStatistics, ...]:
    """Return the expected epoch of each strategy, that of pooled data last.

    Strategies without an expectation are left out, and those whose expectation would take long to compute
    unless the job uses them.

    Args:
        distribution: Which client holds what.
        batch_size: B, at most N.
        sampling: The job's settings.
        rng: Source of what is estimated from draws.
    """
    ordered = sorted(STRATEGIES.values(), key=lambda strategy: strategy.pools_data)
    expected = (each.expect(distribution, batch_size, sampling, rng) for each in ordered if each.expect)
    return tuple(each for each in expected if each is not None)


def _strategies(planned: PlannedJob) -> tuple[EpochStatistics, ...]:
    sampling, distribution = planned.spec.sampling, planned.distribution
    batch_size = min(sampling.global_batch_size, distribution.samples)
    return expected_epochs(distribution, batch_size, sampling, generator(sampling.seed, Purpose.SCHEDULE))


def _speeds(
    environment: Environment, planned: PlannedJob, samples: int, clock: Callable[[], float]
) -> tuple[Speed, Speed]:
    """Return the speeds of a client and of the server; they are measured with the threads of `pslgs run`."""
    profile, available = planned.profile, available_cores()
    measured: dict[int, Speed] = {}

    def speed(given: float | None, threads: int) -> Speed:
        if given is not None:
            return Speed(given)
        if threads not in measured:
            measured[threads] = measured_speed(
                planned.network,
                planned.task.input_shape,
                profile.client_flops + profile.server_flops,
                samples,
                threads,
                clock,
                planned.task.input_dtype,
            )
        return measured[threads]

    clients = len(planned.distribution.sizes)
    client = speed(environment.client_flops, cores_of_client(clients, available))
    return client, speed(environment.server_flops, available)


def _cuts(planned: PlannedJob, *, all_cuts: bool) -> list[Candidate]:
    """Return the cuts to compare in the order of the network, the job's own among them."""
    chosen = planned.spec.model.cut_layer or ""
    own = Candidate(chosen, planned.profile)
    if planned.model is None:
        return [own]
    layers = every_layer(planned.model) if all_cuts else stages(planned.model, chosen)
    found = [
        own if each.layer == chosen else each
        for each in candidates(
            planned.model,
            planned.task.input_shape,
            layers,
            planned.task.input_dtype,
            planned.spec.data.inputs,
        )
    ]
    if own not in found:  # it has another name, or its profile needs real tensors
        found = [each for each in found if each.profile != own.profile] + [own]
    return found if all_cuts else deduplicate_cuts(found, chosen)


class _Findings(NamedTuple):
    """Intermediate results of a plan."""

    planned: PlannedJob
    strategies: tuple[EpochStatistics, ...]
    cuts: tuple[CutFigures, ...]
    costing: Costing


def _plan(job: SplitTrainingJob, environment: Environment, findings: _Findings) -> Plan:
    planned, strategies, cuts, costing = findings
    spec, distribution, conditions = planned.spec, planned.distribution, costing.conditions
    chosen = spec.model.cut_layer or ""
    own = next(cut for cut in cuts if cut.layer == chosen)
    return Plan(
        job=job.metadata.name,
        strategy=spec.sampling.strategy,
        epochs=spec.epochs,
        global_batch_size=min(spec.sampling.global_batch_size, distribution.samples),
        clients=len(distribution.sizes),
        samples=distribution.samples,
        classes=planned.task.objective.classes,
        samples_from=distribution.origin,
        input_shape=planned.task.input_shape,
        input_shape_from=planned.input_shape_from,
        disclosed=planned.network.disclosed,
        bandwidth=environment.link.uplink,
        latency=environment.link.latency,
        compression=spec.transport.compression,
        client_flops=conditions.client_flops,
        server_flops=conditions.server_flops,
        server_gpus=conditions.server_gpus,
        client_speed_measured=environment.client_flops is None,
        server_speed_measured=environment.server_flops is None,
        client_memory=environment.client_memory,
        strategies=strategies,
        cuts=cuts,
        cut_layer=chosen,
        recommendation=recommend(cuts, chosen, environment.client_memory),
        step_seconds_by_compression=compressed_step_seconds(planned.profile, costing),
        training_seconds=spec.epochs * costing.strategy.steps * own.step.total,
        training_bytes=spec.epochs * own.bytes_per_epoch,
    )


def _assumption(environment: Environment, data: AvailableData) -> tuple[Advice, ...]:
    if data.datasets or environment.dataset_sizes:
        return ()
    reason = f" ({data.obstacle})" if data.obstacle else ""
    return (
        Advice(
            TRAINING,
            f"cannot be read here{reason}; {ASSUMED_SAMPLES:,} samples a client with balanced classes are "
            f"assumed, say how many there are with {OPTION}.",
        ),
    )


def _unsteady(*speeds: Speed) -> Iterator[Advice]:
    spread = max(speed.spread for speed in speeds)
    if spread > MAX_SPREAD:
        yield Advice(
            "--client-flops",
            f"and --server-flops are measured, in passes of which the slowest took {spread:.2g} times as "
            "long as the fastest: the machine is busy. Repeat it when it is idle, or give the speeds.",
        )
