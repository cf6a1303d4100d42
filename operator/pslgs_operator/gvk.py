"""The kinds of objects that the operator reads or writes, with their API paths."""

from dataclasses import dataclass
from typing import Final

from pslgs_operator import names


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of objects.

    Attributes:
        group: Empty for the core group.
        selector: Label that the objects have which the operator watches; empty for all.
    """

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    selector: str = ""

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Where the API has the object, or all of a namespace, or all of the cluster."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "/" + "/".join(parts)


KUEUE: Final = "kueue.x-k8s.io"

TRAINING_JOBS: Final = Resource("SplitTrainingJob", names.PLURAL, names.GROUP, names.VERSION)
NODES: Final = Resource("Node", "nodes", namespaced=False)
JOBS: Final = Resource("Job", "jobs", "batch", selector=names.JOB_LABEL)
PODS: Final = Resource("Pod", "pods", selector=names.JOB_LABEL)
SERVICES: Final = Resource("Service", "services", selector=names.JOB_LABEL)
CONFIG_MAPS: Final = Resource("ConfigMap", "configmaps", selector=names.JOB_LABEL)
CLAIMS: Final = Resource("PersistentVolumeClaim", "persistentvolumeclaims", selector=names.JOB_LABEL)
NETWORK_POLICIES: Final = Resource(
    "NetworkPolicy", "networkpolicies", "networking.k8s.io", selector=names.JOB_LABEL
)
POD_MONITORS: Final = Resource("PodMonitor", "podmonitors", "monitoring.coreos.com", selector=names.JOB_LABEL)
WORKLOADS: Final = Resource("Workload", "workloads", KUEUE, "v1beta2", selector=names.JOB_LABEL)
FLAVORS: Final = Resource("ResourceFlavor", "resourceflavors", KUEUE, "v1beta2", namespaced=False)
WORKLOAD_PRIORITIES: Final = Resource(
    "WorkloadPriorityClass", "workloadpriorityclasses", KUEUE, "v1beta2", namespaced=False
)
POD_PRIORITIES: Final = Resource("PriorityClass", "priorityclasses", "scheduling.k8s.io", namespaced=False)
SECRETS: Final = Resource("Secret", "secrets", selector=names.JOB_LABEL)
AUTHORITIES: Final = Resource("Secret", "secrets", selector=names.AUTHORITY_LABEL)
"""Secrets of certificate authorities, in the operator's namespace."""
EVENTS: Final = Resource("Event", "events")
LEASES: Final = Resource("Lease", "leases", "coordination.k8s.io")

FIXTURES: Final = (SERVICES, CONFIG_MAPS, CLAIMS, NETWORK_POLICIES)
"""What is made for a job beside its Jobs and Secrets and is watched in every cluster."""

SUPPORTING_KINDS: Final = frozenset(resource.kind for resource in (*FIXTURES, POD_MONITORS))

BY_KIND: Final = {
    resource.kind: resource
    for resource in (
        *(TRAINING_JOBS, NODES, JOBS, PODS, *FIXTURES, POD_MONITORS, SECRETS, EVENTS),
        *(WORKLOADS, FLAVORS, WORKLOAD_PRIORITIES, POD_PRIORITIES),
    )
}
