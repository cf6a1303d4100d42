"""The operator's process: its parts, their start and their end."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kubernetes.aio.client import ApiClient

from pslgs_operator.api.client import KubernetesClient
from pslgs_operator.api.config import connect, require_training_jobs
from pslgs_operator.api.server_status import ServerStatusClient
from pslgs_operator.gvk import BY_KIND, NODES, Resource
from pslgs_operator.informer import Auditor, StaleWatchError, WatchHealth, watched
from pslgs_operator.kube_client import JobKey
from pslgs_operator.metrics import Metrics, serve_metrics
from pslgs_operator.reconciler import Reconciler
from pslgs_operator.settings import Settings
from pslgs_operator.store import Stores
from pslgs_operator.workqueue import WorkQueue

_DELETED: Final = "DELETED"


class Controller:
    """Hears what the watches tell, and looks at the jobs that it concerns.

    Nothing is looked at before every watch has told all that there is: whoever doesn't know of a child
    would make it anew.
    """

    def __init__(
        self, client: ApiClient, pages: ServerStatusClient, settings: Settings, instance: str
    ) -> None:
        self.metrics = Metrics()
        self._caches = Stores()
        self._complete = asyncio.Event()
        reconciler = Reconciler(
            cluster=KubernetesClient(client, pages),
            stores=self._caches,
            settings=settings,
            told=self._written,
            instance=instance,
            now=utc_now,
        )
        self._queue: WorkQueue[JobKey] = WorkQueue(self.metrics.measured(reconciler.reconcile))
        self._auditor = Auditor(
            client=client,
            stores=self._caches,
            hearings=tuple(
                WatchHealth(self._caches.by_resource[each], utc_now()) for each in watched(settings)
            ),
            namespaces=settings.watch_namespaces or (None,),
            concerns=self._concern,
            now=utc_now,
        )
        self.metrics.watch(self._caches.training_jobs, self._auditor.hearings, utc_now)

    def exists(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Take in that an object is there, and how it is now."""
        self._concern(self._caches.upsert(resource, body), delay_after(resource))

    def happened(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        """Take in what happened to an object; kopf tells this once all lists are complete."""
        if kind == _DELETED:
            self._concern(self._caches.remove(resource, body), delay_after(resource))
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
            StaleWatchError: one doesn't.
        """
        self._auditor.check()

    def _written(self, body: Mapping[str, Any]) -> None:
        # The watch will tell as well, but maybe after the next look at the job.
        cache = self._caches.by_resource.get(BY_KIND[body["kind"]])
        if cache is not None:
            cache.put(body)

    def _concern(self, keys: Iterable[JobKey], delay: timedelta = timedelta(0)) -> None:
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


@dataclass(slots=True)
class Manager:
    """What is open while the operator runs."""

    settings: Settings
    instance: str
    _controller: Controller | None = None
    _work: asyncio.Task[None] | None = None
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def controller(self) -> Controller:
        """The controller, between `start` and `stop`."""
        if self._controller is None:
            raise RuntimeError("the operator has not started")
        return self._controller

    async def start(self) -> None:
        """Connect and begin to work.

        Raises:
            NotInstalledError: the API server doesn't know SplitTrainingJobs.
            RetryableError: it doesn't answer.
            ApiError: it says no.
        """
        async with AsyncExitStack() as opened:
            client = await opened.enter_async_context(await connect())
            await require_training_jobs(client)
            pages = ServerStatusClient.open()
            opened.push_async_callback(pages.close)
            self._controller = Controller(client, pages, self.settings, self.instance)
            server = await serve_metrics(self._controller.metrics, self.settings.metrics_port)
            opened.push_async_callback(server.cleanup)
            self._work = asyncio.create_task(self._controller.run(), name="controller")
            self._open = opened.pop_all()

    async def stop(self) -> None:
        """End the work and close what is open."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        await self._open.aclose()

    def check(self) -> None:
        """Do nothing while all is well.

        Raises:
            StaleWatchError: what happens in the cluster is not heard or not acted upon any more.
        """
        if self._work is None or self._work.cancelled():
            raise StaleWatchError("the operator doesn't work")
        if self._work.done():
            raise StaleWatchError("the operator has stopped working") from self._work.exception()
        self.controller.check_hearing()
