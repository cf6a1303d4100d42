"""Gather the snapshot of one job from the stores."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from pslgs_operator import names
from pslgs_operator.gvk import CLAIMS
from pslgs_operator.kube_client import JobKey
from pslgs_operator.names import is_child_name
from pslgs_operator.parse.supporting import SupportingObject
from pslgs_operator.placement import selects
from pslgs_operator.snapshot import (
    CertificateSecret,
    ChildJob,
    ChildJobState,
    ChildPod,
    Leftover,
    Node,
    PodPhase,
    Problem,
    Rejection,
    ServerReply,
    Snapshot,
    SupportingChild,
)
from pslgs_operator.store import Entry, Store, Stores
from pslgs_operator.training_job import TrainingJob
from pslgs_operator.workload import Workload

V = TypeVar("V")

_NONE: Final[Mapping[tuple[str, str], str]] = MappingProxyType({})


def observe(
    stores: Stores,
    job: TrainingJob,
    server_reply: ServerReply | None,
    rejections: tuple[Rejection, ...],
    admitted: Mapping[tuple[str, str], str] = _NONE,
) -> Snapshot:
    """Gather what is known of a job beside its own object.

    Children are recognised by the uid of the job, so that those of an earlier job of the same name are not
    taken for its own.

    Args:
        stores: What the watches reported.
        job: The job.
        server_reply: The last answer of its server.
        rejections: What could not be created or changed.
        admitted: Digest of each supporting object as the API server returned it when it was last written.
    """
    key = JobKey(job.namespace, job.name)
    jobs = _own(stores.jobs, key, job.uid)
    children = [entry.value for entry in jobs.values()]
    pods, foreign_pods = _pods(stores, key, job.uid)
    supporting = _supporting(stores, key, job.uid)
    services = [entry.value for entry in supporting]
    return Snapshot(
        nodes=_nodes(stores, job, pods),
        server=next((child for child in children if child.client is None), None),
        clients={child.client: child for child in children if child.client is not None},
        pods=pods,
        last_server_pod=stores.last_server_pod.get(key),
        supporting={
            (each.value.kind, each.name): SupportingChild(
                each.uid,
                each.value.content,
                settled=admitted.get((each.value.kind, each.name)) == each.value.digest,
                deleting=each.value.deleting,
            )
            for each in supporting
        },
        certificates=_certificates(stores, key, job.uid),
        authority=_authority(stores, key, job.uid),
        service_address=next((each.address for each in services if each.address), None),
        node_port=next((each.node_port for each in services if each.node_port), None),
        server_reply=server_reply,
        rejections=rejections,
        leftovers=tuple(_leftovers(stores, key, job.uid)),
        earlier_pods=tuple(pod for pod in foreign_pods if not pod.has_ended),
        departing=tuple(sorted(_departing(stores, key, job.uid))),
        last_pod_creation=stores.last_pod_creation,
        workload=_workload(stores, key, job.uid),
        unowned=tuple(sorted(name for name, entry in jobs.items() if entry.owner is None)),
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


def _departing(stores: Stores, key: JobKey, uid: str) -> Iterator[str]:
    """Yield the children of an earlier job of this name, which the garbage collector is deleting."""
    kinds: tuple[Store[Any], ...] = (
        stores.jobs,
        stores.workloads,
        stores.secrets,
        *stores.supporting.values(),
    )
    for store in kinds:
        for name, entry in store.of_job(key).items():
            if entry.owner not in {None, uid} and entry.owner == entry.lineage:
                yield f"{store.resource.kind} {name}"


def server_address(stores: Stores, key: JobKey, uid: str) -> tuple[str, str] | None:
    """Return name and IP address of the job's server pod that runs; None if none does."""
    running = (
        pod
        for pod in _pods(stores, key, uid)[0]
        if pod.client is None and pod.phase is PodPhase.RUNNING and not pod.deleting
    )
    newest = max(running, key=_age, default=None)
    return (newest.name, newest.ip) if newest is not None and newest.ip else None


def _own(store: Store[V], key: JobKey, uid: str) -> dict[str, Entry[V]]:
    return {name: entry for name, entry in store.of_job(key).items() if entry.belongs_to(uid)}


def _pods(stores: Stores, key: JobKey, uid: str) -> tuple[tuple[ChildPod, ...], tuple[ChildPod, ...]]:
    """Return the job's pods, and those of earlier jobs of its name; the oldest first.

    Pods that an earlier version of the operator had created lack the label, but their Job is known.
    """
    jobs = {entry.uid for entry in _own(stores.jobs, key, uid).values()}
    own: list[ChildPod] = []
    foreign: list[ChildPod] = []
    for each in stores.pods.of_job(key).values():
        is_own = each.lineage == uid if each.lineage else each.owner in jobs
        (own if is_own else foreign).append(each.value)
    return tuple(sorted(own, key=_age)), tuple(sorted(foreign, key=_age))


def _leftovers(stores: Stores, key: JobKey, uid: str) -> Iterator[Leftover]:
    """Find what an earlier job left without an owner; not claims, nor copies that users made of children."""
    kinds: tuple[Store[Any], ...] = (
        stores.jobs,
        stores.workloads,
        stores.secrets,
        *stores.supporting.values(),
    )
    for store in kinds:
        kind = store.resource.kind
        for name, entry in store.of_job(key).items():
            orphaned = entry.owner is None and entry.lineage not in {"", uid}
            if orphaned and kind != CLAIMS.kind and is_child_name(key.name, kind, name):
                yield Leftover(kind, name, entry.uid)


def _certificates(stores: Stores, key: JobKey, uid: str) -> dict[str, CertificateSecret]:
    """Return the Secrets that the job owns; one that lost its owner is issued anew, which restores it."""
    return {name: entry.value for name, entry in stores.secrets.of_job(key).items() if entry.owner == uid}


def _authority(stores: Stores, key: JobKey, uid: str) -> CertificateSecret | None:
    entry = stores.authorities.of_job(key).get(names.authority_name(uid))
    return None if entry is None else entry.value


def _workload(stores: Stores, key: JobKey, uid: str) -> Workload | None:
    own = _own(stores.workloads, key, uid).get(names.workload_name(key.name))
    return None if own is None else own.value


def _age(pod: ChildPod) -> tuple[float, str]:
    return pod.created.timestamp(), pod.name


def _nodes(stores: Stores, job: TrainingJob, pods: tuple[ChildPod, ...]) -> tuple[Node, ...]:
    selector = job.spec.clients.node_selector
    servers = {pod.node for pod in pods if pod.client is None}
    nodes = (entry.value for entry in stores.nodes.all().values())
    found = [node for node in nodes if node.name in servers or selects(selector, node.labels)]
    return tuple(sorted(found, key=lambda node: node.name))


class _Named(NamedTuple):
    name: str
    uid: str
    value: SupportingObject


def _supporting(stores: Stores, key: JobKey, uid: str) -> list[_Named]:
    found = (
        _Named(name, entry.uid, entry.value)
        for store in stores.supporting.values()
        for name, entry in _own(store, key, uid).items()
    )
    return sorted(found, key=lambda each: (each.value.kind, each.name))
