"""Objects that the watches reported, indexed by job, and which jobs a change affects."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pslgs_operator import names
from pslgs_operator.fields import moment
from pslgs_operator.gvk import (
    AUTHORITIES,
    BY_KIND,
    FIXTURES,
    JOBS,
    NODES,
    POD_MONITORS,
    PODS,
    SECRETS,
    TRAINING_JOBS,
    WORKLOADS,
    Resource,
)
from pslgs_operator.kube_client import JobKey
from pslgs_operator.ownership import controller_uid
from pslgs_operator.parse.jobs import read_job
from pslgs_operator.parse.nodes import read_node
from pslgs_operator.parse.pods import read_pod
from pslgs_operator.parse.secrets import read_certificate_secret
from pslgs_operator.parse.supporting import SupportingObject, supporting_reader
from pslgs_operator.parse.workloads import read_workload
from pslgs_operator.placement import selects
from pslgs_operator.snapshot import CertificateSecret, ChildJob, ChildPod, Node
from pslgs_operator.training_job import queue_labels
from pslgs_operator.workload import Workload

V = TypeVar("V")


class ObjectKey(NamedTuple):
    """Where an object is; the namespace is empty for what has none."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """One object.

    Attributes:
        version: Its resourceVersion.
        owner: The uid of the object that controls it.
        job: The SplitTrainingJob that its label names.
        lineage: The uid of the job that it was created for, according to its label.
    """

    uid: str
    version: str
    owner: str | None
    job: JobKey | None
    value: V
    lineage: str = ""

    def belongs_to(self, uid: str) -> bool:
        """Return whether the job with this uid owns it, or did until its owner reference was removed."""
        return (self.owner or self.lineage) == uid


@dataclass(frozen=True, slots=True)
class Change(Generic[V]):
    """What became of an object; None is one that isn't there."""

    key: ObjectKey
    old: Entry[V] | None
    new: Entry[V] | None


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


def labelled_job(body: Mapping[str, Any]) -> JobKey | None:
    """Return the SplitTrainingJob that an object's label names, within its namespace."""
    metadata = body["metadata"]
    job = (metadata.get("labels") or {}).get(names.JOB_LABEL)
    return JobKey(metadata["namespace"], job) if job and "namespace" in metadata else None


def annotated_job(body: Mapping[str, Any]) -> JobKey | None:
    """Return the SplitTrainingJob that the annotations of a Secret in the operator's namespace name."""
    annotations = body["metadata"].get("annotations") or {}
    namespace, name = (
        annotations.get(names.JOB_NAMESPACE_ANNOTATION),
        annotations.get(names.JOB_NAME_ANNOTATION),
    )
    return JobKey(namespace, name) if namespace and name else None


@dataclass(slots=True, eq=False)
class Store(Generic[V]):
    """All objects of one kind that the operator watches.

    It is updated by the watch, and by the answers to the operator's own writes, whichever comes first.

    Attributes:
        job_of: Returns the SplitTrainingJob that an object belongs to.
    """

    resource: Resource
    read: Callable[[Mapping[str, Any]], V]
    job_of: Callable[[Mapping[str, Any]], JobKey | None] = labelled_job
    _entries: dict[ObjectKey, Entry[V]] = field(default_factory=dict)
    _by_job: dict[JobKey, dict[str, Entry[V]]] = field(default_factory=dict)

    def put(self, body: Mapping[str, Any]) -> Change[V] | None:
        """Store an object; returns None if it is not new."""
        key, new = object_key(body), self._entry(body)
        old = self._entries.get(key)
        if old is not None and is_newer(old.version, new.version):
            return None  # the watch reports a state before our own write
        self._forget(key, old)
        self._entries[key] = new
        if new.job is not None:
            self._by_job.setdefault(new.job, {})[key.name] = new
        unchanged = old is not None and (old.uid, old.job, old.value) == (new.uid, new.job, new.value)
        return None if unchanged else Change(key, old, new)

    def drop(self, key: ObjectKey, uid: str | None = None) -> Change[V] | None:
        """Forget an object; one of the same name with another ``uid`` stays."""
        old = self._entries.get(key)
        if old is None or uid not in {None, old.uid}:
            return None
        self._forget(key, old)
        return Change(key, old, None)

    def of_job(self, job: JobKey) -> Mapping[str, Entry[V]]:
        """Return the job's objects by name."""
        return self._by_job.get(job, _NONE)

    def all(self) -> Mapping[ObjectKey, Entry[V]]:
        """Return every object."""
        return MappingProxyType(self._entries)

    def _entry(self, body: Mapping[str, Any]) -> Entry[V]:
        metadata = body["metadata"]
        return Entry(
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            owner=controller_uid(body),
            job=self.job_of(body),
            value=self.read(body),
            lineage=(metadata.get("labels") or {}).get(names.JOB_UID_LABEL, ""),
        )

    def _forget(self, key: ObjectKey, old: Entry[V] | None) -> None:
        if old is None:
            return
        del self._entries[key]
        if old.job is not None:
            siblings = self._by_job[old.job]
            del siblings[key.name]
            if not siblings:
                del self._by_job[old.job]


def object_key(body: Mapping[str, Any]) -> ObjectKey:
    """Return namespace and name of an object."""
    metadata = body["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])


def is_newer(version: str, than: str) -> bool:
    """Compare two resourceVersions of one kind; versions that are no numbers cannot be compared."""
    return version.isdecimal() and than.isdecimal() and int(version) > int(than)


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A SplitTrainingJob.

    Attributes:
        body: The object as the API server has it; a reconcile starts from it, and its resourceVersion guards
            the write of the status.
        created: When it was applied.
        generation: Grows with each change of the spec, and when deletion begins.
        node_selector: The labels of nodes that concern it.
        phase: The printed one; empty before the first visit.
        queue_labels: Kueue's labels, the only metadata whose change concerns the operator.
    """

    body: Mapping[str, Any]
    created: datetime | None
    generation: int
    node_selector: Mapping[str, str]
    phase: str
    queue_labels: Mapping[str, str] = field(default_factory=dict)


def read_listed_job(body: Mapping[str, Any]) -> ListedJob:
    """Read it, sound or not."""
    clients = (body.get("spec") or {}).get("clients") or {}
    selector = clients.get("nodeSelector") if isinstance(clients, Mapping) else None
    return ListedJob(
        body=dict(body),  # kopf changes its own view in place
        created=moment(body["metadata"], "creationTimestamp"),
        generation=body["metadata"].get("generation", 0),
        node_selector=dict(selector) if isinstance(selector, Mapping) else {},
        phase=(body.get("status") or {}).get("phase", ""),
        queue_labels=queue_labels(body["metadata"].get("labels") or {}),
    )


def _supporting_stores() -> dict[Resource, Store[SupportingObject]]:
    return {
        resource: Store(resource, supporting_reader(resource.kind)) for resource in (*FIXTURES, POD_MONITORS)
    }


@dataclass(slots=True, eq=False)
class Stores:
    """One store for each kind.

    Attributes:
        last_server_pod: The last pod of each job's server that is gone and left a termination message. Both
            may happen between two reconciles of the job.
        last_pod_creation: When the newest pod of any job was created, whether it is still there or not.
    """

    training_jobs: Store[ListedJob] = field(default_factory=lambda: Store(TRAINING_JOBS, read_listed_job))
    nodes: Store[Node] = field(default_factory=lambda: Store(NODES, read_node))
    jobs: Store[ChildJob] = field(default_factory=lambda: Store(JOBS, read_job))
    pods: Store[ChildPod] = field(default_factory=lambda: Store(PODS, read_pod))
    supporting: Mapping[Resource, Store[SupportingObject]] = field(default_factory=_supporting_stores)
    workloads: Store[Workload] = field(default_factory=lambda: Store(WORKLOADS, read_workload))
    secrets: Store[CertificateSecret] = field(default_factory=lambda: Store(SECRETS, read_certificate_secret))
    authorities: Store[CertificateSecret] = field(
        default_factory=lambda: Store(AUTHORITIES, read_certificate_secret, annotated_job)
    )
    last_server_pod: dict[JobKey, ChildPod] = field(default_factory=dict)
    last_pod_creation: datetime | None = None

    @property
    def by_resource(self) -> Mapping[Resource, Store[Any]]:
        """Return all of them."""
        single: tuple[Store[Any], ...] = (
            *(self.training_jobs, self.nodes, self.jobs, self.pods),
            *(self.workloads, self.secrets, self.authorities),
        )
        return {**{cache.resource: cache for cache in single}, **self.supporting}

    def store_of(self, body: Mapping[str, Any]) -> Store[Any] | None:
        """Return the store in which an object belongs; None for kinds that are not watched."""
        if names.AUTHORITY_LABEL in (body["metadata"].get("labels") or {}):
            return self.authorities
        return self.by_resource.get(BY_KIND[body["kind"]])

    def upsert(self, resource: Resource, body: Mapping[str, Any]) -> set[JobKey]:
        """Store an object as it is now, and return the jobs that it affects."""
        change = self.by_resource[resource].put(body)
        if resource == PODS and change is not None and change.new is not None:
            created = change.new.value.created
            self.last_pod_creation = max(created, self.last_pod_creation or created)
        return self.affected_jobs(resource, change)

    def remove(self, resource: Resource, body: Mapping[str, Any]) -> set[JobKey]:
        """Remove an object that was deleted in this state, and return the jobs that it affects."""
        cache, key, uid = self.by_resource[resource], object_key(body), body["metadata"]["uid"]
        known = cache.all().get(key)
        if known is not None and known.uid == uid:
            cache.put(body)
        change = cache.drop(key, uid)
        if change is not None and resource == TRAINING_JOBS:
            self.last_server_pod.pop(JobKey(*change.key), None)
        elif change is not None and resource == PODS:
            self._bury(change)
        return self.affected_jobs(resource, change)

    def _bury(self, change: Change[ChildPod]) -> None:
        if change.old is None or change.old.job is None:
            return
        pod, job = change.old.value, self.training_jobs.all().get(ObjectKey(*change.old.job))
        is_its_own = job is not None and job.value.created is not None and job.value.created <= pod.created
        is_its_own = is_its_own and job is not None and change.old.lineage in {"", job.uid}
        if is_its_own and pod.client is None and pod.termination_message is not None:
            self.last_server_pod[change.old.job] = pod

    def affected_jobs(self, resource: Resource, change: Change[Any] | None) -> set[JobKey]:
        """Return the jobs that a change affects."""
        if change is None:
            return set()
        if resource == TRAINING_JOBS:
            return _same_job(change)
        if resource == NODES:
            return set(self._of_node(change))
        return {
            entry.job for entry in (change.old, change.new) if entry is not None and entry.job is not None
        }

    def _of_node(self, change: Change[Node]) -> Iterable[JobKey]:
        labels = [entry.value.labels for entry in (change.old, change.new) if entry is not None]
        for (namespace, name), entry in self.training_jobs.all().items():
            if any(selects(entry.value.node_selector, some) for some in labels):
                yield JobKey(namespace, name)
        for pod in self.pods.all().values():
            if pod.job is not None and pod.value.client is None and pod.value.node == change.key.name:
                yield pod.job


def _same_job(change: Change[ListedJob]) -> set[JobKey]:
    # The status is written by the operator itself; only changes by others need a reconcile.
    seen = [
        (entry.uid, entry.value.generation, entry.value.queue_labels) if entry else None
        for entry in (change.old, change.new)
    ]
    return {JobKey(*change.key)} if seen[0] != seen[1] else set()
