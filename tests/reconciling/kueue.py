"""What Kueue does to the Workload of a job, with a world in which the operator asks it for quota."""

from typing import Any

from fake_api.bodies import Body
from pslgs_operator import names
from pslgs_operator.settings import Settings
from reconciling.lifetime import KEY, Operator, World, manifest, training

QUEUE = {"kueue.x-k8s.io/queue-name": "edge"}
WORKLOAD = names.workload_name(KEY.name)
SERVER = names.server_name(KEY.name)
FLAVORS = {
    "gpu": {"nodeLabels": {"pool": "gpu"}, "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
    "sites": {"nodeLabels": {"tier": "edge"}},
}


def a_flavor(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "ResourceFlavor",
        "metadata": {"name": name},
        "spec": FLAVORS[name],
    }


class QueuedWorld(World):
    """A cluster with two edge nodes, two flavors and Kueue, whose scheduler is played by hand."""

    def clone(self) -> "QueuedWorld":
        """Copy everything; operators begin with a list there."""
        other = QueuedWorld(self.now, self.report)
        other.server.storage = self.server.storage.clone(lambda: other.now)
        return other

    def submit(self, labels: dict[str, str] | None = None, **spec: Any) -> Operator:
        """Apply a job in a queue, and return an operator that has done what it can."""
        for name in ("edge-0", "edge-1"):
            self.add_node(name)
        for name in FLAVORS:
            self.put(a_flavor(name))
        self.label(QUEUE if labels is None else labels, **spec)
        return Operator(self, Settings(kueue=True))

    def label(self, labels: dict[str, str], **spec: Any) -> None:
        """Apply the job with these labels; without certificates, which take most of a reconcile's time."""
        applied = manifest(**({"transport": {"tls": "Disabled"}} | spec))
        self.put({**applied, "metadata": {**applied["metadata"], "labels": labels}})

    @property
    def workload(self) -> Body:
        found = self.get("Workload", WORKLOAD)
        assert found is not None
        return found

    @property
    def status(self) -> Body:
        job = self.get("SplitTrainingJob", KEY.name)
        assert job is not None
        return dict(job["status"])

    def said(self, kind: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition of the job."""
        found = next(each for each in self.status["conditions"] if each["type"] == kind)
        return found["status"], found["reason"], found["message"]

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition of the Workload."""
        found = {each["type"]: each for each in self.workload.get("status", {}).get("conditions", ())}
        return (found[kind]["status"], found[kind]["reason"]) if kind in found else ("", "")

    def decide(self, *conditions: tuple[str, str, str, str], **status: Any) -> None:
        """Set conditions of the Workload: type, status, reason and message."""
        before = self.workload
        old = before.get("status", {})
        merged = {each["type"]: each for each in old.get("conditions", ())}
        for kind, holds, reason, message in conditions:
            merged[kind] = {
                **{"type": kind, "status": holds, "reason": reason, "message": message},
                "lastTransitionTime": self.server.storage.timestamp(),
            }
        self.put({**before, "status": {**old, **status, "conditions": list(merged.values())}}, "kueue")

    def reserve(self) -> None:
        """Reserve quota: flavor gpu for the server, flavor sites for the clients."""
        counts = {each["name"]: each["count"] for each in self.workload["spec"]["podSets"]}
        flavors = {"server": {"cpu": "gpu", "nvidia.com/gpu": "gpu"}, "clients": {"cpu": "sites"}}
        assigned = [{"name": name, "count": counts[name], "flavors": flavors[name]} for name in flavors]
        self.decide(
            ("QuotaReserved", "True", "QuotaReserved", "Quota reserved in ClusterQueue sites"),
            ("Evicted", "False", "QuotaReserved", "Previously"),
            admission={"clusterQueue": "sites", "podSetAssignments": assigned},
        )

    def admit(self) -> None:
        """Admit the Workload."""
        self.reserve()
        self.decide(("Admitted", "True", "Admitted", "The workload is admitted"))

    def evict(self, reason: str = "Preempted") -> None:
        """Ask for the quota back, as for a Workload of a higher priority."""
        self.decide(("Evicted", "True", reason, "Preempted to accommodate a workload"))

    def pods(self) -> set[str]:
        return {name.removesuffix("-pod") for name in self.of("Pod")}


async def admitted(**spec: Any) -> tuple[QueuedWorld, Operator]:
    """A job that was admitted, and whose pods run."""
    world = QueuedWorld()
    operator = world.submit(**spec)
    await operator.settle()
    world.admit()
    await operator.settle()
    return world, operator


async def in_training(**spec: Any) -> tuple[QueuedWorld, Operator]:
    """A job that was admitted and trains."""
    world, operator = await admitted(**spec)
    world.report = training("edge-0-0", "edge-1-0")
    await operator.settle()
    return world, operator
