"""The operator's own client over an API server in memory, and what users, nodes and kubelets do there."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fake_api.answers import StatusError
from fake_api.bodies import Body, copied
from fake_api.client import FakeApiClient
from fake_api.garbage import collect
from fake_api.kinds import BY_NAME, Kind
from fake_api.server import APPLY, Answer, FakeApiServer, Request
from fake_api.storage import Key, Manager
from pslgs_operator.api.client import KubernetesClient
from pslgs_operator.api.server_status import ServerStatusClient
from pslgs_operator.snapshot import ServerReport
from pslgs_operator.store import Stores


class _StatusPages(ServerStatusClient):
    """What the servers' status pages answer, by address."""

    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__
    __repr__ = object.__repr__

    def __init__(self) -> None:
        self.reports: dict[str, ServerReport] = {}
        self.asked: Counter[str] = Counter()

    async def report(self, pod_ip: str, *_: object) -> ServerReport | None:
        self.asked["ask server"] += 1
        return self.reports.get(pod_ip)


class FakeCluster(KubernetesClient):
    """The operator's client, but for the connection.

    Attributes:
        server: The API server.
        refused: Kinds or names that may not be made, with what the API server says.
        ending: Namespaces that are being deleted.
        calls: How often what was asked of the API server, by verb and kind.
        transport: Carries requests to the server; tests may put another in its place, which loses some.
        away: Whether the API server doesn't answer.
    """

    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__
    __repr__ = object.__repr__

    def __init__(self, server: FakeApiServer | None = None) -> None:
        pages = _StatusPages()
        super().__init__(FakeApiClient(self._handle), pages)
        self.server = server or FakeApiServer()
        self.transport: Callable[[Request], Awaitable[Answer]] = self._answer
        self.server.admission.append(self._admit)
        self.server.namespaces.setdefault("pslgs-system", True)
        self.reports, self.calls = pages.reports, pages.asked
        self.refused: dict[str, str] = {}
        self.ending: set[str] = set()
        self.away = False

    @property
    def objects(self) -> dict[Key, Body]:
        """Everything that is kept, as it is kept."""
        return self.server.storage.objects

    @property
    def events(self) -> list[Body]:
        """All Events, in the order in which they were posted."""
        return [each for key, each in self.objects.items() if key.kind == "Event"]

    def keep(self, manifest: Mapping[str, Any]) -> Body:
        """Do as a controller or kubelet: keep an object as it is given; a status that is not given stays."""
        storage, kind = self.server.storage, BY_NAME[manifest["kind"]]
        key = storage.key(kind, manifest)
        if key.namespace:
            self.server.namespaces.setdefault(key.namespace, True)
        manager = Manager("others", "Update")
        if key not in self.objects:
            storage.create(kind, manifest, manager)
        else:
            storage.update(kind, manifest, manager)
        if kind.has_status and "status" in manifest:
            storage.update(kind, manifest, manager._replace(subresource="status"))
        return copied(self.objects[key])

    def apply_job(self, manifest: Mapping[str, Any]) -> None:
        """Do as a user with kubectl."""
        self.keep(manifest)

    def complain(self, about: str, reason: str, message: str, namespace: str = "default") -> None:
        """Post a Warning about a pod or a Job, as kubelet and controllers do."""
        name = f"{about}.{self.server.storage.number():x}"
        told = {"type": "Warning", "involvedObject": {"name": about}, "reason": reason, "message": message}
        self.keep({"kind": "Event", "metadata": {"name": name, "namespace": namespace}, **told})

    def remove(self, kind: str, name: str, namespace: str = "default") -> None:
        """Take an object away at once, and what it owns."""
        key = Key(kind, namespace if BY_NAME[kind].namespaced else "", name)
        self.server.storage.remove(key)
        collect(self.server.storage)

    def of(self, kind: str) -> dict[str, Body]:
        """Return all objects of a kind by name."""
        return {key.name: each for key, each in self.objects.items() if key.kind == kind}

    def tell(self, stores: Stores) -> None:
        """Tell everything, as the watches do in time."""
        for resource, cache in stores.by_resource.items():
            for each in self.objects.values():
                labels = each["metadata"].get("labels") or {}
                if each["kind"] == resource.kind and (not resource.selector or resource.selector in labels):
                    cache.put(each)
            for key in [key for key in cache.all() if (resource.kind, *key) not in self.objects]:
                cache.drop(key)

    @property
    def writes(self) -> int:
        """How much was written or tried to."""
        return sum(number for call, number in self.calls.items() if not call.startswith(("read", "ask")))

    async def _handle(self, request: Request) -> Answer:
        self.calls[self.described(request)] += 1
        if self.away:
            raise TimeoutError("the API server doesn't answer")
        self.server.namespaces |= dict.fromkeys(self.ending, False)
        return await self.transport(request)

    async def _answer(self, request: Request) -> Answer:
        return self.server.handle(request)

    def described(self, request: Request) -> str:
        """Say what a request does, in two words."""
        target = self.server.target(request.path)
        kind = target.kind.kind
        if target.subresource == "status":
            return "write status"
        if kind == "Event":
            return "read warnings" if request.method == "GET" else "post event"
        if request.method == "PATCH":
            return f"{'apply' if request.content == APPLY else 'annotate'} {kind}"
        verbs = {"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"}
        return f"{verbs[request.method]} {kind}"

    def _admit(self, verb: str, kind: Kind, body: Body) -> None:
        for what in (kind.kind, body["metadata"]["name"]):
            if what in self.refused and verb == "CREATE":
                raise StatusError(403, "Forbidden", self.refused[what])
