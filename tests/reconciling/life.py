"""A cluster with operators in virtual time: watches, controllers, kubelets, and time that passes."""

from base64 import b64decode
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fake_api.bodies import Body
from fake_api.kinds import BY_NAME
from fake_api.server import Answer, FakeApiServer, Request
from fake_api.storage import Happening, Key, Manager, Storage
from pslgs_operator import names
from pslgs_operator.gvk import BY_KIND, Resource
from pslgs_operator.kube_client import JobKey, RetryableError
from pslgs_operator.reconciler import Reconciler
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ServerReport
from pslgs_operator.store import Stores
from reconciling.fake_cluster import FakeCluster
from reconciling.objects import a_node

KEY = JobKey("default", "digits")
EDGE = {"edge": "true"}
SERVER_IP = "10.0.0.1"
ROUNDS = 80
"""Maximum number of reconciles until nothing changes any more."""

Handle = Callable[[Request], Awaitable[Answer]]


def manifest(name: str = KEY.name, **spec: Any) -> dict[str, Any]:
    """Return a small job."""
    wanted = {
        "model": {"architecture": "mlp", "cutLayer": "0"},
        "data": {"train": {"format": "ScikitLearn", "name": "digits"}},
        "epochs": 2,
        "clients": {"nodeSelector": EDGE},
    }
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": name, "namespace": KEY.namespace},
        "spec": wanted | spec,
    }


@dataclass
class World:
    """The cluster without operators.

    Attributes:
        now: The clock of everybody.
        report: What the server's status page says; None if it does not answer.
    """

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    report: ServerReport | None = None
    server: FakeApiServer = field(init=False)

    def __post_init__(self) -> None:
        namespaces = dict.fromkeys((KEY.namespace, Settings().namespace), True)
        self.server = FakeApiServer(Storage(now=lambda: self.now), namespaces)

    @property
    def objects(self) -> dict[Key, Body]:
        """Everything that is there."""
        return self.server.storage.objects

    def clone(self) -> "World":
        """Copy everything; operators begin with a list there."""
        other = World(self.now, self.report)
        other.server.storage = self.server.storage.clone(lambda: other.now)
        return other

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def get(self, kind: str, name: str) -> Body | None:
        """Return an object of the job's namespace."""
        return self.objects.get(Key(kind, KEY.namespace, name))

    def of(self, kind: str) -> dict[str, Body]:
        """Return all objects of a kind by name."""
        return {key.name: each for key, each in self.objects.items() if key.kind == kind}

    def trusted(self, others: Container[Key] = ()) -> set[bytes]:
        """Return what the job's certificates say whom to trust; Secrets of ``others`` are not the job's."""
        secrets = [
            each
            for key, each in self.objects.items()
            if key[:2] == ("Secret", KEY.namespace) and key not in others
        ]
        return {b64decode(each["data"]["ca.crt"]) for each in secrets if "ca.crt" in each["data"]}

    def put(self, body: Mapping[str, Any], manager: str = "others") -> None:
        """Create or replace an object, the status too if it is given."""
        storage, kind = self.server.storage, BY_NAME[body["kind"]]
        writer = Manager(manager, "Update")
        if storage.key(kind, body) not in self.objects:
            storage.create(kind, body, writer)
        else:
            storage.update(kind, body, writer)
        if kind.has_status and "status" in body:
            storage.update(kind, body, writer._replace(subresource="status"))

    def delete(self, kind: str, name: str, policy: str = "Background") -> None:
        """Delete an object as kubectl does, which waits for the end of a deletion in the foreground."""
        resource = BY_KIND[kind]
        path = resource.path(KEY.namespace, name)
        self.server.handle(Request("DELETE", path, body={"propagationPolicy": policy}))
        while policy == "Foreground" and self.get(kind, name) is not None:
            self.run_controllers()

    def add_node(self, name: str, **labels: str) -> None:
        """Let a node join, or give it other labels."""
        self.put(a_node(name, **(labels or EDGE)))

    def remove_node(self, name: str) -> None:
        """Take a node and its pods away."""
        self.server.storage.remove(Key("Node", "", name))
        for key, pod in list(self.objects.items()):
            if key.kind == "Pod" and pod["spec"].get("nodeName") == name:
                self.server.storage.remove(key)

    def run_controllers(self) -> None:
        """Do what the Job controller, the scheduler, the kubelets and the garbage collector have to do."""
        for key, pod in list(self.objects.items()):
            if key.kind == "Pod" and "deletionTimestamp" in pod["metadata"]:
                self.server.storage.remove(key)
        self.server.collect()
        for job in list(self.of("Job").values()):
            if self._wants_a_pod(job):
                self._make_pod(job)
        for pod in list(self.of("Pod").values()):
            if pod["status"].get("phase", "Pending") == "Pending" and pod["spec"].get("nodeName"):
                self._run(pod)

    def complete(self, name: str) -> None:
        """Let the pod of a Job end well, and the Job with it."""
        for pod in list(self.of("Pod").values()):
            if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == name:
                self.put({**pod, "status": {**pod["status"], "phase": "Succeeded"}})
        ended = {"type": "Complete", "status": "True", "lastTransitionTime": self.server.storage.timestamp()}
        job = self.get("Job", name)
        assert job is not None
        self.put({**job, "status": {"succeeded": 1, "conditions": [ended]}})

    def _wants_a_pod(self, job: Body) -> bool:
        ended = any(each["type"] in {"Complete", "Failed"} for each in job["status"].get("conditions", ()))
        going = "deletionTimestamp" in job["metadata"]
        uid = job["metadata"]["uid"]
        has_one = any(
            owner["uid"] == uid
            for pod in self.of("Pod").values()
            for owner in pod["metadata"]["ownerReferences"]
        )
        return not (ended or going or has_one or job["spec"].get("suspend"))

    def _make_pod(self, job: Body) -> None:
        metadata, template = job["metadata"], job["spec"]["template"]
        node = (metadata.get("annotations") or {}).get(names.NODE_ANNOTATION, "gpu-0")
        there = node == "gpu-0" or Key("Node", "", node) in self.objects
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        self.put(
            {
                "kind": "Pod",
                "metadata": {
                    "name": f"{metadata['name']}-pod",
                    "namespace": metadata["namespace"],
                    "labels": template["metadata"]["labels"],
                    "annotations": template["metadata"].get("annotations") or {},
                    "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
                },
                "spec": {**template["spec"], **({"nodeName": node} if there else {})},
                "status": {"phase": "Pending"},
            }
        )

    def _run(self, pod: Body) -> None:
        is_server = pod["metadata"]["labels"].get(names.ROLE_LABEL) == names.SERVER
        ip = SERVER_IP if is_server else "10.0.1.1"
        status = {
            "phase": "Running",
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "name": pod["spec"]["containers"][0]["name"],
                    "ready": True,
                    "state": {"running": {"startedAt": self.server.storage.timestamp()}},
                }
            ],
        }
        self.put({**pod, "status": status})


@dataclass
class Watches:
    """The watches of one operator: what they told it, and what they have still to tell."""

    world: World
    stores: Stores
    seen: dict[Resource, int] = field(default_factory=dict)

    def relist(self) -> None:
        """Begin anew: list everything, and forget what is not there any more."""
        for resource, store in self.stores.by_resource.items():
            listed = dict(self._listed(resource))
            for body in listed.values():
                self.stores.upsert(resource, body)
            for key in [key for key in store.all() if key not in listed]:
                store.drop(key)
            self.seen[resource] = self.world.server.storage.version

    def deliver(self, only: int | None = None) -> None:
        """Tell what happened since; at most ``only`` events of each kind."""
        for resource in self.stores.by_resource:
            query = {"resourceVersion": str(self.seen.get(resource, 0))}
            if resource.selector:
                query["labelSelector"] = resource.selector
            told = list(self.world.server.watch(Request("GET", resource.path(), query)))
            for event in told if only is None else told[:only]:
                body = event["object"]
                tell = self.stores.remove if event["type"] == "DELETED" else self.stores.upsert
                tell(resource, body)
                self.seen[resource] = int(body["metadata"]["resourceVersion"])

    def _listed(self, resource: Resource) -> Iterator[tuple[tuple[str, str], Body]]:
        query = {"labelSelector": resource.selector} if resource.selector else {}
        for body in self.world.server.handle(Request("GET", resource.path(), query)).body["items"]:
            yield (body["metadata"].get("namespace", ""), body["metadata"]["name"]), body


@dataclass
class Operator:
    """One operator of a world.

    Attributes:
        cluster: Its client.
        failures: Reconciles and writes that failed and are tried again.
    """

    world: World
    settings: Settings = field(default_factory=Settings)
    instance: str = "operator-0"
    cluster: FakeCluster = field(init=False)
    watches: Watches = field(init=False)
    reconciler: Reconciler = field(init=False)
    failures: int = 0

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(self.world.server)
        self.restart()

    def restart(self) -> None:
        """Begin with nothing but what the watches list."""
        stores = Stores()
        self.watches = Watches(self.world, stores)
        self.watches.relist()
        self.reconciler = Reconciler(
            self.cluster,
            stores,
            self.settings,
            self._told,
            self.instance,
            lambda: self.world.now,
            count_retries=self._count_failures,
        )

    def _count_failures(self, writes: int) -> None:
        self.failures += writes

    def _told(self, body: Mapping[str, Any]) -> None:
        store = self.watches.stores.by_resource.get(BY_KIND[body["kind"]])
        if store is not None:
            store.put(body)

    async def look(self, key: JobKey = KEY) -> bool:
        """Reconcile once; False if that has to be tried again soon."""
        self.cluster.reports.clear()
        if self.world.report is not None:
            self.cluster.reports[SERVER_IP] = self.world.report
        before = self.failures
        try:
            await self.reconciler.reconcile(key)
        except RetryableError:
            self.failures += 1
        return self.failures == before

    async def settle(self, key: JobKey = KEY) -> bool:
        """Reconcile until nothing changes any more, in whatever time; returns whether anything did."""
        pauses = (1, 5, 20, 310)
        quiet, anything = 0, False
        for _ in range(ROUNDS):
            before = len(self.world.server.storage.log)
            self.world.run_controllers()
            self.watches.deliver()
            went_well = await self.look(key)
            changed = any(map(_is_change, self.world.server.storage.log[before:]))
            quiet, anything = quiet + 1 if went_well and not changed else 0, anything or changed
            if quiet == len(pauses):
                return anything
            self.world.later(pauses[quiet])
        raise AssertionError(f"{key} does not settle: {self.world.objects.keys()}")


def _is_change(happening: Happening) -> bool:
    """Return whether a change is more than an Event or a sign of life."""
    if happening.key.kind == "Event":
        return False
    return happening.before is None or _lasting(happening.before) != _lasting(happening.body)


def _lasting(body: Mapping[str, Any]) -> dict[str, Any]:
    passing = {"resourceVersion", "managedFields", "lastHeartbeatTime"}
    halves = {half: body.get(half) or {} for half in ("metadata", "status")}
    return dict(body) | {
        half: {name: value for name, value in fields.items() if name not in passing}
        for half, fields in halves.items()
    }


TRAINING = ServerReport(phase="Training", epoch=1, epochs=2, step=5, steps=20, progress=0.25)


def training(*clients: str) -> ServerReport:
    """Return what a server says that trains with these clients."""
    return replace(TRAINING, live=clients)
