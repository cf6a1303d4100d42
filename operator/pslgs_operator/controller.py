"""The parts of one operator put together."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from kubernetes.aio.client import ApiClient

from pslgs_operator.api.asking import StatusPages
from pslgs_operator.api.kubernetes_cluster import KubernetesCluster
from pslgs_operator.audit import Hearing
from pslgs_operator.auditing import Auditor
from pslgs_operator.caches import Caches
from pslgs_operator.cluster import Key
from pslgs_operator.metrics import Metrics
from pslgs_operator.queue import Queue
from pslgs_operator.reconcile import Reconciler
from pslgs_operator.resources import BY_KIND, Resource
from pslgs_operator.settings import Settings
from pslgs_operator.watching import watched

_DELETED: Final = "DELETED"


class Controller:
    """Hears what the watches tell, and looks at the jobs that it concerns.

    Nothing is looked at before every watch has told all that there is: whoever doesn't know of a child
    would make it anew.
    """

    def __init__(self, client: ApiClient, pages: StatusPages, settings: Settings, instance: str) -> None:
        self.metrics = Metrics()
        self._caches = Caches()
        self._complete = asyncio.Event()
        reconciler = Reconciler(
            cluster=KubernetesCluster(client, pages),
            caches=self._caches,
            settings=settings,
            told=self._written,
            instance=instance,
            now=utc_now,
        )
        self._queue: Queue[Key] = Queue(self.metrics.measured(reconciler.reconcile))
        self._auditor = Auditor(
            client=client,
            caches=self._caches,
            hearings=tuple(Hearing(self._caches.by_resource[each], utc_now()) for each in watched(settings)),
            namespaces=settings.watch_namespaces or (None,),
            concerns=self._concern,
            now=utc_now,
        )
        self.metrics.watch(self._caches.training_jobs, self._auditor.hearings, utc_now)

    def exists(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Take in that an object is there, and how it is now."""
        self._concern(self._caches.take_in(resource, body))

    def happened(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        """Take in what happened to an object; kopf tells this once all lists are complete."""
        if kind == _DELETED:
            self._concern(self._caches.let_go(resource, body))
        self._complete.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._complete.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._queue.run(), name="queue")
            tasks.create_task(self._auditor.run(), name="audit")

    def check_hearing(self) -> None:
        """Do nothing while every watch tells what it should.

        Raises:
            DeafError: one doesn't.
        """
        self._auditor.check()

    def _written(self, body: Mapping[str, Any]) -> None:
        # The watch will tell as well, but maybe after the next look at the job.
        cache = self._caches.by_resource.get(BY_KIND[body["kind"]])
        if cache is not None:
            cache.put(body)

    def _concern(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._queue.add(key)


def utc_now() -> datetime:
    """The clock of the operator."""
    return datetime.now(UTC)
