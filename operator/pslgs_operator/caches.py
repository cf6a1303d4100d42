"""Everything that the watches told, and which jobs a piece of news concerns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pslgs_operator.cache import Cache, Change
from pslgs_operator.cluster import Key
from pslgs_operator.fixture import Fixture, fixture_reader
from pslgs_operator.observed import ChildJob, ChildPod, Node
from pslgs_operator.reading.jobs import read_job
from pslgs_operator.reading.nodes import read_node
from pslgs_operator.reading.pods import read_pod
from pslgs_operator.resources import FIXTURES, JOBS, NODES, POD_MONITORS, PODS, TRAINING_JOBS, Resource


@dataclass(frozen=True, slots=True)
class Listed:
    """A SplitTrainingJob, as far as others have to know of it; it is read anew when it is reconciled.

    Attributes:
        generation: Grows with each change of the spec, and when deletion begins.
        node_selector: The labels of nodes that concern it.
        phase: The printed one; empty before the first visit.
    """

    generation: int
    node_selector: Mapping[str, str]
    phase: str


def read_listed(body: Mapping[str, Any]) -> Listed:
    """Read it, sound or not."""
    clients = (body.get("spec") or {}).get("clients") or {}
    selector = clients.get("nodeSelector") if isinstance(clients, Mapping) else None
    return Listed(
        generation=body["metadata"].get("generation", 0),
        node_selector=dict(selector) if isinstance(selector, Mapping) else {},
        phase=(body.get("status") or {}).get("phase", ""),
    )


def matches(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    """Tell whether a node has all labels of a selector; an empty one selects none."""
    return bool(selector) and selector.items() <= labels.items()


def _fixtures() -> dict[Resource, Cache[Fixture]]:
    return {
        resource: Cache(resource, fixture_reader(resource.kind)) for resource in (*FIXTURES, POD_MONITORS)
    }


@dataclass(frozen=True, slots=True)
class Caches:
    """One cache for each kind."""

    training_jobs: Cache[Listed] = field(default_factory=lambda: Cache(TRAINING_JOBS, read_listed))
    nodes: Cache[Node] = field(default_factory=lambda: Cache(NODES, read_node))
    jobs: Cache[ChildJob] = field(default_factory=lambda: Cache(JOBS, read_job))
    pods: Cache[ChildPod] = field(default_factory=lambda: Cache(PODS, read_pod))
    fixtures: Mapping[Resource, Cache[Fixture]] = field(default_factory=_fixtures)

    @property
    def by_resource(self) -> Mapping[Resource, Cache[Any]]:
        """Return all of them."""
        single: tuple[Cache[Any], ...] = (self.training_jobs, self.nodes, self.jobs, self.pods)
        return {**{cache.resource: cache for cache in single}, **self.fixtures}

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
            if any(matches(some, entry.value.node_selector) for some in labels):
                yield Key(namespace, name)
        for pod in self.pods.all().values():
            if pod.job is not None and pod.value.client is None and pod.value.node == change.key.name:
                yield pod.job


def _same_job(change: Change[Listed]) -> set[Key]:
    # The status is written by the operator itself; only what others change needs a look.
    seen = {(entry.uid, entry.value.generation) if entry else None for entry in (change.old, change.new)}
    return {Key(*change.key)} if len(seen) > 1 else set()
