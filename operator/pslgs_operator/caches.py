"""Everything that the watches told, and which jobs a piece of news concerns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pslgs_operator.cache import Cache, Change, ObjectKey, object_key
from pslgs_operator.cluster import Key
from pslgs_operator.document import moment
from pslgs_operator.fixture import Fixture, fixture_reader
from pslgs_operator.observed import ChildJob, ChildPod, Node
from pslgs_operator.placement import selects
from pslgs_operator.reading.jobs import read_job
from pslgs_operator.reading.nodes import read_node
from pslgs_operator.reading.pods import read_pod
from pslgs_operator.resources import FIXTURES, JOBS, NODES, POD_MONITORS, PODS, TRAINING_JOBS, Resource


@dataclass(frozen=True, slots=True)
class Listed:
    """A SplitTrainingJob, as far as others have to know of it; it is read anew when it is reconciled.

    Attributes:
        created: When it was applied.
        generation: Grows with each change of the spec, and when deletion begins.
        node_selector: The labels of nodes that concern it.
        phase: The printed one; empty before the first visit.
    """

    created: datetime | None
    generation: int
    node_selector: Mapping[str, str]
    phase: str


def read_listed(body: Mapping[str, Any]) -> Listed:
    """Read it, sound or not."""
    clients = (body.get("spec") or {}).get("clients") or {}
    selector = clients.get("nodeSelector") if isinstance(clients, Mapping) else None
    return Listed(
        created=moment(body["metadata"], "creationTimestamp"),
        generation=body["metadata"].get("generation", 0),
        node_selector=dict(selector) if isinstance(selector, Mapping) else {},
        phase=(body.get("status") or {}).get("phase", ""),
    )


def _fixtures() -> dict[Resource, Cache[Fixture]]:
    return {
        resource: Cache(resource, fixture_reader(resource.kind)) for resource in (*FIXTURES, POD_MONITORS)
    }


@dataclass(frozen=True, slots=True)
class Caches:
    """One cache for each kind.

    Attributes:
        departed: The last pod of each job's server that is gone and had left last words. Between these and
            its end there may be less time than between two looks at the job.
    """

    training_jobs: Cache[Listed] = field(default_factory=lambda: Cache(TRAINING_JOBS, read_listed))
    nodes: Cache[Node] = field(default_factory=lambda: Cache(NODES, read_node))
    jobs: Cache[ChildJob] = field(default_factory=lambda: Cache(JOBS, read_job))
    pods: Cache[ChildPod] = field(default_factory=lambda: Cache(PODS, read_pod))
    fixtures: Mapping[Resource, Cache[Fixture]] = field(default_factory=_fixtures)
    departed: dict[Key, ChildPod] = field(default_factory=dict)

    @property
    def by_resource(self) -> Mapping[Resource, Cache[Any]]:
        """Return all of them."""
        single: tuple[Cache[Any], ...] = (self.training_jobs, self.nodes, self.jobs, self.pods)
        return {**{cache.resource: cache for cache in single}, **self.fixtures}

    def take_in(self, resource: Resource, body: Mapping[str, Any]) -> set[Key]:
        """Know an object as it is now, and tell which jobs that concerns."""
        return self.concerned(resource, self.by_resource[resource].put(body))

    def let_go(self, resource: Resource, body: Mapping[str, Any]) -> set[Key]:
        """Forget an object that was deleted in this state, and tell which jobs that concerns."""
        cache, key, uid = self.by_resource[resource], object_key(body), body["metadata"]["uid"]
        known = cache.all().get(key)
        if known is not None and known.uid == uid:
            cache.put(body)
        change = cache.drop(key, uid)
        if change is not None and resource == TRAINING_JOBS:
            self.departed.pop(Key(*change.key), None)
        elif change is not None and resource == PODS:
            self._bury(change)
        return self.concerned(resource, change)

    def _bury(self, change: Change[ChildPod]) -> None:
        if change.old is None or change.old.job is None:
            return
        pod, job = change.old.value, self.training_jobs.all().get(ObjectKey(*change.old.job))
        is_its_own = job is not None and job.value.created is not None and job.value.created <= pod.created
        if is_its_own and pod.client is None and pod.last_words is not None:
            self.departed[change.old.job] = pod

    def concerned(self, resource: Resource, change: Change[Any] | None) -> set[Key]:
        """Tell which jobs a change concerns."""
        if change is None:
            return set()
        if resource == TRAINING_JOBS:
            return _same_job(change)
        if resource == NODES:
            return set(self._of_node(change))
        return {
            entry.job for entry in (change.old, change.new) if entry is not None and entry.job is not None
        }

    def _of_node(self, change: Change[Node]) -> Iterable[Key]:
        labels = [entry.value.labels for entry in (change.old, change.new) if entry is not None]
        for (namespace, name), entry in self.training_jobs.all().items():
            if any(selects(entry.value.node_selector, some) for some in labels):
                yield Key(namespace, name)
        for pod in self.pods.all().values():
            if pod.job is not None and pod.value.client is None and pod.value.node == change.key.name:
                yield pod.job


def _same_job(change: Change[Listed]) -> set[Key]:
    # The status is written by the operator itself; only what others change needs a look.
    seen = {(entry.uid, entry.value.generation) if entry else None for entry in (change.old, change.new)}
    return {Key(*change.key)} if len(seen) > 1 else set()
