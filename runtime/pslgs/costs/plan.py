"""`plan`: what a job will do and cost, before anything runs."""

import time
from collections.abc import Callable
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
from pslgs.costs.machine_speed import measured_flops
from pslgs.costs.result import Advice, CutFigures, Plan
from pslgs.costs.time_model import Conditions
from pslgs.data.loading import TRAINING
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.registry import STRATEGIES
from pslgs.sampling.schedule_statistics import DataDistribution, EpochStatistics
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.training import SamplingSpec

_UNREAD = AvailableData()


def plan(
    job: SplitTrainingJob,
    outlook: Environment,
    data: AvailableData = _UNREAD,
    clock: Callable[[], float] = time.perf_counter,
) -> Plan:
    """Predict what a job will do and cost.

    Args:
        job: The job.
        outlook: Links, memory, speeds, and sizes where there are no data.
        data: Of the clients, as far as they can be read here.
        clock: Returns seconds; measures the speeds that are not given.

    Raises:
        InputError: the job cannot be run as it is, or too little is known of its clients and their data.
    """
    subject = examine(job.spec, outlook, data)
    strategies = _strategies(subject)
    own = next(each for each in strategies if each.strategy == job.spec.sampling.strategy)
    conditions = _conditions(outlook, subject, round(own.largest_local_batch), clock)
    costing = Costing(subject.task.objective, job.spec.transport.compression, own, conditions)
    cuts = tuple(cut_figures(*each, costing) for each in _cuts(subject, all_cuts=outlook.all_cuts))
    planned = _plan(job, outlook, _Findings(subject, strategies, cuts, costing))
    assumption = _assumption(outlook, data)
    return replace(planned, advice=(*assumption, *advise(job.spec, subject.distribution, planned)))


def expected_epochs(
    distribution: DataDistribution, batch_size: int, sampling: SamplingSpec, rng: np.random.Generator
) -> tuple[EpochStatistics, ...]:
    """Return what every strategy makes of an epoch, pooled data last.

    Strategies that plans say nothing of are left out, and those that would take long and that the job does
    not use.

    Args:
        distribution: Which client holds what.
        batch_size: B, at most N.
        sampling: The job's settings.
        rng: Source of what is estimated from draws.
    """
    ordered = sorted(STRATEGIES.values(), key=lambda strategy: strategy.pools_data)
    expected = (each.expect(distribution, batch_size, sampling, rng) for each in ordered if each.expect)
    return tuple(each for each in expected if each is not None)


def _strategies(subject: PlannedJob) -> tuple[EpochStatistics, ...]:
    sampling, distribution = subject.spec.sampling, subject.distribution
    batch_size = min(sampling.global_batch_size, distribution.samples)
    return expected_epochs(distribution, batch_size, sampling, generator(sampling.seed, Purpose.SCHEDULE))


def _conditions(
    outlook: Environment, subject: PlannedJob, samples: int, clock: Callable[[], float]
) -> Conditions:
    client, server = outlook.client_flops, outlook.server_flops
    if client is None or server is None:
        anatomy = subject.anatomy
        flops = anatomy.client_flops + anatomy.server_flops
        measured = measured_flops(subject.network, subject.task.input_shape, flops, samples, clock)
        client, server = client or measured, server or measured
    return Conditions(outlook.link, client, server)


def _cuts(subject: PlannedJob, *, all_cuts: bool) -> list[Candidate]:
    """List the cuts to compare in the order of the network; the job's own is always among them."""
    chosen = subject.spec.model.cut_layer or ""
    own = Candidate(chosen, subject.anatomy)
    if subject.model is None:
        return [own]
    layers = every_layer(subject.model) if all_cuts else stages(subject.model, chosen)
    found = [
        own if each.layer == chosen else each
        for each in candidates(subject.model, subject.task.input_shape, layers)
    ]
    if own not in found:  # under another name, or not to be looked at without computing
        found = [each for each in found if each.anatomy != own.anatomy] + [own]
    return found if all_cuts else deduplicate_cuts(found, chosen)


class _Findings(NamedTuple):
    """What was found out on the way to a plan."""

    subject: PlannedJob
    strategies: tuple[EpochStatistics, ...]
    cuts: tuple[CutFigures, ...]
    costing: Costing


def _plan(job: SplitTrainingJob, outlook: Environment, findings: _Findings) -> Plan:
    subject, strategies, cuts, costing = findings
    spec, distribution, conditions = subject.spec, subject.distribution, costing.conditions
    chosen = spec.model.cut_layer or ""
    own = next(cut for cut in cuts if cut.layer == chosen)
    return Plan(
        job=job.metadata.name,
        strategy=spec.sampling.strategy,
        epochs=spec.epochs,
        global_batch_size=min(spec.sampling.global_batch_size, distribution.samples),
        clients=len(distribution.sizes),
        samples=distribution.samples,
        classes=subject.task.objective.classes,
        samples_from=distribution.origin,
        input_shape=subject.task.input_shape,
        input_shape_from=subject.input_shape_from,
        bandwidth=outlook.link.uplink,
        latency=outlook.link.latency,
        compression=spec.transport.compression,
        client_flops=conditions.client_flops,
        server_flops=conditions.server_flops,
        client_speed_measured=outlook.client_flops is None,
        server_speed_measured=outlook.server_flops is None,
        client_memory=outlook.client_memory,
        strategies=strategies,
        cuts=cuts,
        cut_layer=chosen,
        recommendation=recommend(cuts, chosen, outlook.client_memory),
        step_seconds_by_compression=compressed_step_seconds(subject.anatomy, costing),
        training_seconds=spec.epochs * costing.strategy.steps * own.step.total,
        training_bytes=spec.epochs * own.bytes_per_epoch,
    )


def _assumption(outlook: Environment, data: AvailableData) -> tuple[Advice, ...]:
    if data.datasets or outlook.dataset_sizes:
        return ()
    reason = f" ({data.obstacle})" if data.obstacle else ""
    return (
        Advice(
            TRAINING,
            f"cannot be read here{reason}; {ASSUMED_SAMPLES:,} samples a client with balanced classes are "
            f"assumed, say how many there are with {OPTION}.",
        ),
    )
