"""One job's part of what the watches told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pslgs_operator.cache import Cache, Entry
from pslgs_operator.caches import Caches
from pslgs_operator.cluster import Key
from pslgs_operator.fixture import Fixture
from pslgs_operator.job import Job
from pslgs_operator.observed import (
    ChildJob,
    ChildPod,
    Heartbeat,
    JobState,
    Node,
    Observed,
    PodPhase,
    Refusal,
    Trouble,
)
from pslgs_operator.placement import selects


def observe(caches: Caches, job: Job, heartbeat: Heartbeat | None, refusals: tuple[Refusal, ...]) -> Observed:
    """Gather what is known of a job beside its own object."""
    key = Key(job.namespace, job.name)
    children = [entry.value for entry in caches.jobs.of_job(key).values()]
    pods = tuple(sorted((entry.value for entry in caches.pods.of_job(key).values()), key=_age))
    fixtures = _fixtures(caches, key)
    return Observed(
        nodes=_nodes(caches, job, pods),
        server=next((child for child in children if child.client is None), None),
        clients={child.client: child for child in children if child.client is not None},
        pods=pods,
        departed=caches.departed.get(key),
        fixtures={(entry.value.kind, name): entry.value.digest for name, entry in fixtures},
        service_address=next((entry.value.address for _, entry in fixtures if entry.value.address), None),
        node_port=next((entry.value.node_port for _, entry in fixtures if entry.value.node_port), None),
        heartbeat=heartbeat,
        refusals=refusals,
    )


def explained(observed: Observed, complaints: Mapping[str, Trouble]) -> Observed:
    """Add to children that don't start why they don't, by name."""
    with_pods = {pod.job for pod in observed.pods}

    def job(child: ChildJob) -> ChildJob:
        found = complaints.get(child.name)
        starts = child.name in with_pods or child.state is not JobState.ACTIVE
        return child if found is None or starts else replace(child, message=found.message)

    def pod(child: ChildPod) -> ChildPod:
        found = complaints.get(child.name)
        starts = child.phase is not PodPhase.PENDING or child.waiting is not None or child.node is None
        return child if found is None or starts else replace(child, waiting=found)

    return replace(
        observed,
        server=observed.server and job(observed.server),
        clients={client: job(child) for client, child in observed.clients.items()},
        pods=tuple(map(pod, observed.pods)),
    )


def is_inherited(caches: Caches, key: Key, uid: str) -> bool:
    """Tell whether there are children of an earlier job of this name, which the garbage collector takes."""
    kinds: tuple[Cache[Any], ...] = (caches.jobs, *caches.fixtures.values())
    return any(entry.owner not in {None, uid} for cache in kinds for entry in cache.of_job(key).values())


def server_address(caches: Caches, key: Key) -> tuple[str, str] | None:
    """Return name and IP address of the server's pod that runs; None if none does."""
    pods = (entry.value for entry in caches.pods.of_job(key).values())
    running = (
        pod for pod in pods if pod.client is None and pod.phase is PodPhase.RUNNING and not pod.deleting
    )
    newest = max(running, key=_age, default=None)
    return (newest.name, newest.ip) if newest is not None and newest.ip else None


def _age(pod: ChildPod) -> tuple[float, str]:
    return pod.created.timestamp(), pod.name


def _nodes(caches: Caches, job: Job, pods: tuple[ChildPod, ...]) -> tuple[Node, ...]:
    selector = job.spec.clients.node_selector
    servers = {pod.node for pod in pods if pod.client is None}
    nodes = (entry.value for entry in caches.nodes.all().values())
    found = [node for node in nodes if node.name in servers or selects(selector, node.labels)]
    return tuple(sorted(found, key=lambda node: node.name))


def _fixtures(caches: Caches, key: Key) -> list[tuple[str, Entry[Fixture]]]:
    return sorted(
        (item for cache in caches.fixtures.values() for item in cache.of_job(key).items()),
        key=lambda item: (item[1].value.kind, item[0]),
    )
