"""A Workload of Kueue and its admission, as they are observed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pslgs_operator.fields import condition, is_true


@dataclass(frozen=True, slots=True)
class Assignment:
    """What Kueue assigned to one set of pods.

    Attributes:
        count: Number of pods that quota is reserved for.
        flavors: Names of the ResourceFlavors, each once.
    """

    count: int
    flavors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PodSetUpdate:
    """What an admission check adds to the pods of a set."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Flavor:
    """A ResourceFlavor: the nodes of a kind, and the taints that pods for them tolerate."""

    node_labels: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """The Workload of a job.

    Attributes:
        version: Its resourceVersion.
        generation: Grows with each change of its spec.
        demand: Digest of what it asks for (`names.DEMAND_ANNOTATION`), without the number of clients.
        counts: Number of pods of each set that it asks for.
        priority: Its priority; None if it has none.
        active: Whether it may be admitted; users and Kueue deactivate Workloads.
        conditions: As they are stored.
        assignments: What Kueue assigned to each set of pods, while quota is reserved.
        updates: What admission checks add to each set of pods.
        checks: States of the admission checks by name: Pending, Ready, Retry, Rejected.
        past_seconds: Seconds for which it was admitted before it was evicted last.
    """

    name: str
    uid: str
    version: str
    generation: int = 0
    demand: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    priority: int | None = None
    active: bool = True
    conditions: tuple[Mapping[str, Any], ...] = ()
    assignments: Mapping[str, Assignment] = field(default_factory=dict)
    updates: Mapping[str, tuple[PodSetUpdate, ...]] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    past_seconds: int = 0
    deleting: bool = False

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return the condition of this type; an empty mapping if it is not there."""
        return condition({"conditions": self.conditions}, kind) or {}

    def _holds(self, kind: str) -> bool:
        return is_true(self.condition(kind))

    @property
    def reserved(self) -> bool:
        """Whether quota is reserved for it."""
        return self._holds("QuotaReserved")

    @property
    def admitted(self) -> bool:
        """Whether its pods may be created."""
        return self._holds("Admitted")

    @property
    def evicted(self) -> bool:
        """Whether its pods have to go, or went and it was not admitted again."""
        return self._holds("Evicted")

    @property
    def finished(self) -> bool:
        """Whether it has ended; it never holds quota again."""
        return self._holds("Finished")

    @property
    def pods_ready(self) -> bool:
        """Whether its pods are known to have started."""
        return self._holds("PodsReady")


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What had to be read for a queued job beside its Workload.

    Attributes:
        flavors: ResourceFlavors of the admission, by name.
        priority: Value of the job's priority class; None if it names none.
        problem: Why that is not known; empty if it is.
    """

    flavors: Mapping[str, Flavor] = field(default_factory=dict)
    priority: int | None = None
    problem: str = ""
