"""Gather the snapshot of one job from the stores."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pslgs_operator.kube_client import JobKey
from pslgs_operator.parse.supporting import SupportingObject
from pslgs_operator.placement import selects
from pslgs_operator.snapshot import (
    ChildJob,
    ChildJobState,
    ChildPod,
    Node,
    PodPhase,
    Problem,
    Rejection,
    ServerReply,
    Snapshot,
)
from pslgs_operator.store import Entry, Store, Stores
from pslgs_operator.training_job import TrainingJob


def observe(
    stores: Stores, job: TrainingJob, server_reply: ServerReply | None, rejections: tuple[Rejection, ...]
) -> Snapshot:
    """Gather what is known of a job beside its own object."""
    key = JobKey(job.namespace, job.name)
    children = [entry.value for entry in stores.jobs.of_job(key).values()]
    pods = tuple(sorted((entry.value for entry in stores.pods.of_job(key).values()), key=_age))
    fixtures = _fixtures(stores, key)
    return Snapshot(
        nodes=_nodes(stores, job, pods),
        server=next((child for child in children if child.client is None), None),
        clients={child.client: child for child in children if child.client is not None},
        pods=pods,
        last_server_pod=stores.last_server_pod.get(key),
        supporting={(entry.value.kind, name): entry.value.digest for name, entry in fixtures},
        service_address=next((entry.value.address for _, entry in fixtures if entry.value.address), None),
        node_port=next((entry.value.node_port for _, entry in fixtures if entry.value.node_port), None),
        server_reply=server_reply,
        rejections=rejections,
    )


def explained(snapshot: Snapshot, complaints: Mapping[str, Problem]) -> Snapshot:
    """Add to children that don't start why they don't, by name."""
    with_pods = {pod.job for pod in snapshot.pods}

    def job(child: ChildJob) -> ChildJob:
        found = complaints.get(child.name)
        starts = child.name in with_pods or child.state is not ChildJobState.ACTIVE
        return child if found is None or starts else replace(child, message=found.message)

    def pod(child: ChildPod) -> ChildPod:
        found = complaints.get(child.name)
        starts = child.phase is not PodPhase.PENDING or child.waiting is not None or child.node is None
        return child if found is None or starts else replace(child, waiting=found)

    return replace(
        snapshot,
        server=snapshot.server and job(snapshot.server),
        clients={client: job(child) for client, child in snapshot.clients.items()},
        pods=tuple(map(pod, snapshot.pods)),
    )


def is_inherited(stores: Stores, key: JobKey, uid: str) -> bool:
    """Tell whether there are children of an earlier job of this name, which the garbage collector takes."""
    kinds: tuple[Store[Any], ...] = (stores.jobs, *stores.supporting.values())
    return any(entry.owner not in {None, uid} for cache in kinds for entry in cache.of_job(key).values())


def server_address(stores: Stores, key: JobKey) -> tuple[str, str] | None:
    """Return name and IP address of the server's pod that runs; None if none does."""
    pods = (entry.value for entry in stores.pods.of_job(key).values())
    running = (
        pod for pod in pods if pod.client is None and pod.phase is PodPhase.RUNNING and not pod.deleting
    )
    newest = max(running, key=_age, default=None)
    return (newest.name, newest.ip) if newest is not None and newest.ip else None


def _age(pod: ChildPod) -> tuple[float, str]:
    return pod.created.timestamp(), pod.name


def _nodes(stores: Stores, job: TrainingJob, pods: tuple[ChildPod, ...]) -> tuple[Node, ...]:
    selector = job.spec.clients.node_selector
    servers = {pod.node for pod in pods if pod.client is None}
    nodes = (entry.value for entry in stores.nodes.all().values())
    found = [node for node in nodes if node.name in servers or selects(selector, node.labels)]
    return tuple(sorted(found, key=lambda node: node.name))


def _fixtures(stores: Stores, key: JobKey) -> list[tuple[str, Entry[SupportingObject]]]:
    return sorted(
        (item for cache in stores.supporting.values() for item in cache.of_job(key).items()),
        key=lambda item: (item[1].value.kind, item[0]),
    )
