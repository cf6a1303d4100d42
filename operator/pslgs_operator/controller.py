"""The controller: fills the stores from the watches, and the leader's queue with the jobs affected."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kubernetes.aio.client import ApiClient

from pslgs_operator.api.client import KubernetesClient
from pslgs_operator.api.server_status import ServerStatusClient
from pslgs_operator.authority_collector import AuthorityCollector
from pslgs_operator.gvk import NODES, Resource
from pslgs_operator.informer import Auditor, WatchHealth, watched
from pslgs_operator.insights import Insights
from pslgs_operator.kube_client import JobKey
from pslgs_operator.leadership import NAMESPACE_RETRY, Leadership
from pslgs_operator.metrics import Metrics
from pslgs_operator.pod_monitor_collector import PodMonitorCollector
from pslgs_operator.reconciler import Reconciler
from pslgs_operator.secret_informer import SecretInformer
from pslgs_operator.settings import Settings
from pslgs_operator.store import ObjectKey, Stores
from pslgs_operator.watched_namespaces import WatchedNamespaces
from pslgs_operator.workqueue import WorkQueue

_DELETED: Final = "DELETED"
_LEASES_CHECKED: Final = timedelta(seconds=10)
"""Time between two checks which Leases of namespaces are due."""


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections of the controller.

    Attributes:
        unguarded: For reads and Leases.
        guarded: For all else; its writes pass the gate of the leader election.
        servers: For the status of jobs' servers.
    """

    unguarded: ApiClient
    guarded: ApiClient
    servers: ServerStatusClient


class Controller:
    """Keeps the stores up to date and, while this replica leads, reconciles jobs.

    Nothing is reconciled before every watch has reported all existing objects: an operator that does not know
    of a child would create it again. A standby keeps its stores up to date, so it can begin at once.
    """

    def __init__(
        self,
        connections: Connections,
        settings: Settings,
        leadership: Leadership,
        insights: Insights,
        metrics: Metrics,
    ) -> None:
        self._connections = connections
        self._settings = settings
        self._leadership = leadership
        self._metrics = metrics
        self._stores = Stores()
        self._queue: WorkQueue[JobKey] | None = None
        self._is_synchronized = False
        self._namespaces = WatchedNamespaces(
            connections.unguarded, settings.watch_namespaces, insights, self._audit_soon
        )
        self._auditor = Auditor(
            client=connections.unguarded,
            stores=self._stores,
            watches=tuple(
                WatchHealth(self._stores.by_resource[each], utc_now()) for each in watched(settings)
            ),
            namespaces=self._namespaces.served,
            concerns=self._concern,
            now=utc_now,
        )
        self._secrets = SecretInformer(
            client=connections.unguarded,
            stores=self._stores,
            settings=settings,
            concerns=self._concern,
            serves=self._namespaces.serves,
            now=utc_now,
        )
        metrics.secret_ages = self._secrets.ages
        metrics.watch(self._stores.training_jobs, self._auditor.watches, utc_now)
        metrics.follow_leader(leadership.leads, self._served)
        metrics.watch_queue(self._depth)

    async def prepare(self) -> None:
        """Find out which namespaces exist, before any is watched."""
        await self._namespaces.refresh()

    def exists(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Store an object that exists."""
        self._concern(self._stores.upsert(resource, body), delay_after(resource))

    def happened(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        """Handle an event of a watch; without a ``kind`` the object was listed when the watch began."""
        if kind == _DELETED:
            self._concern(self._stores.remove(resource, body), delay_after(resource))
        elif kind is None:
            self._audit_soon()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._namespaces.run(), name="namespaces")
            tasks.create_task(self._secrets.run(), name="secrets")
            await self._auditor.synchronize()
            await self._secrets.listed.wait()
            self._is_synchronized = True
            tasks.create_task(self._auditor.run(), name="audit")
            tasks.create_task(self._leadership.run(self._lead), name="leader election")

    def live_problem(self) -> str | None:
        """Return why the process should be started anew; None if it works."""
        return self._auditor.problem() or self._leadership.problem()

    def ready_problem(self) -> str | None:
        """Return why this replica could not lead; None if it could."""
        return None if self._is_synchronized else "the watches have not yet listed all objects"

    async def _lead(self) -> None:
        cluster = KubernetesClient(self._connections.guarded, self._connections.servers)
        collector = AuthorityCollector(cluster, self._stores, self._settings)
        monitors = PodMonitorCollector(cluster, self._settings, self._acts_in)
        reconciler = Reconciler(
            cluster=cluster,
            stores=self._stores,
            settings=self._settings,
            on_applied=self._applied,
            instance=self._settings.instance,
            now=utc_now,
            count_retries=self._metrics.count_retries,
        )
        reconcile = self._metrics.measured(reconciler.reconcile)

        async def reconcile_held(key: JobKey) -> timedelta | None:
            """Reconcile the job if this release may write to its namespace."""
            if not self._namespaces.serves(key.namespace):
                return None
            if not await self._leadership.namespaces.hold(key.namespace):
                is_there = ObjectKey(*key) in self._stores.training_jobs.all()
                return NAMESPACE_RETRY if is_there else None
            return await reconcile(key)

        self._queue = WorkQueue(reconcile_held)
        self._concern(JobKey(*key) for key in self._stores.training_jobs.all())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._queue.run(), name="queue")
                tasks.create_task(collector.run(), name="authorities")
                tasks.create_task(monitors.run(), name="PodMonitors")
                tasks.create_task(self._keep_namespaces(), name="leases of namespaces")
        finally:
            self._queue = None

    async def _acts_in(self, namespace: str) -> bool:
        """Return whether this release writes to a namespace."""
        return self._namespaces.serves(namespace) and await self._leadership.namespaces.hold(namespace)

    async def _keep_namespaces(self) -> None:
        while True:
            await asyncio.sleep(_LEASES_CHECKED.total_seconds())
            with_jobs = {key.namespace for key in self._stores.training_jobs.all()}
            await self._leadership.namespaces.keep_only(with_jobs)
            await self._leadership.namespaces.renew()

    def _served(self) -> Mapping[str, bool]:
        foreign = self._leadership.namespaces.foreign()
        return self._namespaces.by_name() | dict.fromkeys(foreign, False)

    def _depth(self) -> int:
        return 0 if self._queue is None else self._queue.depth()

    def _audit_soon(self) -> None:
        if self._is_synchronized:
            self._auditor.audit_soon()

    def _applied(self, body: Mapping[str, Any]) -> None:
        # The watch reports it as well, but maybe after the next reconcile of the job.
        store = self._stores.store_of(body)
        if store is not None:
            store.put(body)

    def _concern(self, keys: Iterable[JobKey], delay: timedelta = timedelta(0)) -> None:
        if self._queue is not None:
            for key in keys:
                self._queue.add(key, delay)


_NODES_SETTLE: Final = timedelta(seconds=2)
"""Nodes are labelled, and go away, several at a time; jobs are reconciled once for all of them."""


def delay_after(resource: Resource) -> timedelta:
    """Return how long after a change of such an object its jobs are reconciled."""
    return _NODES_SETTLE if resource == NODES else timedelta(0)


def utc_now() -> datetime:
    """The clock of the operator."""
    return datetime.now(UTC)
