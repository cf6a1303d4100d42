"""An operator whose jobs, nodes and clients come and go, on an API server without kubelets."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np
from benchmarks.operator_cluster import NAMESPACE, has_condition, until
from benchmarks.operator_kubelets import node
from benchmarks.operator_scale import Bench, bench

from cluster.testcluster.helm import NAMESPACE as OPERATORS_NAMESPACE
from control_loop.operating import training_job
from pslgs_operator.api.errors import ApiError
from pslgs_operator.api.rest import request
from pslgs_operator.gvk import (
    AUTHORITIES,
    CLAIMS,
    CONFIG_MAPS,
    JOBS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    TRAINING_JOBS,
    Resource,
)
from soak.gauges import Gauges

_COUNTED = (TRAINING_JOBS, JOBS, PODS, SECRETS, SERVICES, CONFIG_MAPS, CLAIMS, NETWORK_POLICIES)
_AT_ONCE = 5
_CLIENTS = 3
_SAMPLE_SECONDS = 10.0
_HOLD = (1.0, 8.0)
_LIFETIME = "20"
"""Seconds for which certificates are valid, so that some are renewed all the time."""


@dataclass(slots=True)
class Done:
    """How many jobs ended in each way."""

    completed: int = 0
    deleted: int = 0
    suspended: int = 0
    without_client: int = 0


async def soak(seconds: float, seed: int) -> tuple[Gauges, Done]:
    """Create and delete jobs for a time, and measure the operator; nothing of them may be left afterwards.

    Raises:
        TimeoutError: a job did not become what it had to, or something of the last one is left.
    """
    done = Done()
    async with bench(PSLGS_CERTIFICATE_LIFETIME=_LIFETIME) as place:
        for index in range(_CLIENTS):
            await place.cluster.make(NODES, node(f"pool-{index}", pool="true"))
        gauges = Gauges()
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for user in range(_AT_ONCE):
                rng = np.random.default_rng((seed, user))
                tasks.create_task(_use(place, user, rng, ending, done))
            tasks.create_task(_nodes_come_and_go(place, ending))
            while gauges.elapsed < seconds:
                await asyncio.sleep(_SAMPLE_SECONDS)
                await _measure(gauges, place)
            ending.set()
        for resource in _COUNTED:
            await until(lambda resource=resource: _is_empty(place, resource), 120)
        await until(lambda: _is_empty(place, AUTHORITIES, OPERATORS_NAMESPACE), 300)
    return gauges, done


async def _use(place: Bench, user: int, rng: np.random.Generator, ending: asyncio.Event, done: Done) -> None:
    """Run one job after the other, each of which ends in one of the ways that there are."""
    ways = (_complete, _delete, _suspend_and_delete, _lose_a_client_and_complete)
    number = 0
    while not ending.is_set():
        name, number = f"job-{user}-{number}", number + 1
        job = training_job(name, NAMESPACE, {"pool": "true"}, ttlSecondsAfterFinished=2)
        await place.cluster.make(TRAINING_JOBS, job)
        await place.jobs.first_seen([name], has_condition("Ready", "True"))
        await asyncio.sleep(rng.uniform(*_HOLD))
        await ways[int(rng.integers(len(ways)))](place, name, done)
        await until(lambda name=name: _is_gone(place, name))
        await place.servers.stop(name)
        place.jobs.latest.pop(name, None)


async def _complete(place: Bench, name: str, done: Done) -> None:
    await place.kubelets.finish(name)
    done.completed += 1


async def _delete(place: Bench, name: str, done: Done) -> None:
    await request(place.cluster.client, "DELETE", TRAINING_JOBS.path(NAMESPACE, name))
    done.deleted += 1


async def _suspend_and_delete(place: Bench, name: str, done: Done) -> None:
    await place.cluster.patch(TRAINING_JOBS, name, {"spec": {"suspend": True}})
    await place.jobs.first_seen([name], has_condition("Suspended", "True"))
    done.suspended += 1
    await _delete(place, name, done)


async def _lose_a_client_and_complete(place: Bench, name: str, done: Done) -> None:
    place.servers.lost[name] = {"pool-0-0"}
    await place.jobs.first_seen([name], has_condition("Degraded", "True"))
    place.servers.lost[name] = set()
    await place.jobs.first_seen([name], has_condition("Degraded", "False"))
    done.without_client += 1
    await _complete(place, name, done)


async def _is_gone(place: Bench, name: str) -> bool:
    try:
        await request(place.cluster.client, "GET", TRAINING_JOBS.path(NAMESPACE, name))
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return True
        raise
    return False


async def _nodes_come_and_go(place: Bench, ending: asyncio.Event) -> None:
    number = 0
    while not ending.is_set():
        name, number = f"guest-{number % 7}", number + 1
        await place.cluster.make(NODES, node(name, pool="true"))
        await _pause(ending, 15)
        await request(place.cluster.client, "DELETE", NODES.path(NAMESPACE, name))
        await _pause(ending, 15)


async def _pause(ending: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await ending.wait()
    except TimeoutError:
        pass


async def _measure(gauges: Gauges, place: Bench) -> None:
    running = place.cluster.running
    gauges.note_process("operator", running.process.pid)
    lines = running.metrics().splitlines()
    gauges.note("operator: series", sum(not line.startswith("#") for line in lines))


async def _is_empty(place: Bench, resource: Resource, namespace: str = NAMESPACE) -> bool:
    query = {"labelSelector": resource.selector} if resource.selector else None
    page = await request(place.cluster.client, "GET", resource.path(namespace), query=query)
    return not page["items"]
