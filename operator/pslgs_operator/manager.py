"""The operator's process: what is open, its start and its end."""

import asyncio
import logging
import os
import threading
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from kubernetes.aio.client import ApiClient

from pslgs_operator.api.config import NotInstalledError, connect, require_training_jobs
from pslgs_operator.api.errors import ApiError
from pslgs_operator.api.server_status import ServerStatusClient
from pslgs_operator.controller import Connections, Controller
from pslgs_operator.http_server import application, serve
from pslgs_operator.insights import Insights
from pslgs_operator.kube_client import RetryableError
from pslgs_operator.leadership import Leadership, NamespaceLeases, keep_replica_lease
from pslgs_operator.metrics import Metrics
from pslgs_operator.settings import Settings

_log = logging.getLogger(__name__)

_START_RETRY: Final = timedelta(seconds=2)
_KILL_AFTER: Final = timedelta(seconds=8)
"""Time from a failure to the end of the process, should its tasks not end by themselves."""


@dataclass(slots=True)
class Manager:
    """What is open while the operator runs.

    Attributes:
        insights: What kopf watches.
        stop_flag: Ends kopf once it is set.
        failure: Why the operator has to end; None while it works, or if it was asked to stop.
    """

    settings: Settings
    insights: Insights = field(default_factory=Insights)
    stop_flag: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str | None = None
    _logged_problem: str | None = None
    _waits_for: str = "the operator has not started yet"
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
        """Answer probes, wait for the API server and the CustomResourceDefinition, and begin to work.

        Raises:
            OSError: a port is in use.
        """
        async with AsyncExitStack() as opened:
            metrics = Metrics()
            pages = application(metrics.registry, self._live_problem, self._ready_problem)
            ports = (self.settings.liveness_port, self.settings.metrics_port)
            opened.push_async_callback((await serve(pages, ports)).cleanup)
            unguarded = await opened.enter_async_context(await connect())
            await self._wait_for_definition(unguarded)
            leadership = self._leadership(unguarded)
            guarded = await opened.enter_async_context(await connect(leadership.gate))
            unguarded.on_answer = guarded.on_answer = metrics.count_request
            servers = ServerStatusClient.open()
            opened.push_async_callback(servers.close)
            connections = Connections(unguarded, guarded, servers)
            self._controller = Controller(connections, self.settings, leadership, self.insights, metrics)
            await self._controller.prepare()
            self._work = asyncio.create_task(self._controller.run(), name="controller")
            self._work.add_done_callback(self._ended)
            self._open = opened.pop_all()

    async def stop(self) -> None:
        """End the work, release the Lease and close what is open."""
        if self._work is not None:
            self._work.remove_done_callback(self._ended)
            self._work.cancel()
            await asyncio.wait([self._work])
        await self._open.aclose()

    def _leadership(self, client: ApiClient) -> Leadership:
        namespace, name = self.settings.lease_namespace, self.settings.lease_name
        identity = f"{self.settings.instance}_{uuid.uuid4().hex[:8]}"  # two processes never have the same
        return Leadership(
            keep_replica_lease(client, namespace, name, identity),
            NamespaceLeases(client, release=f"{namespace}/{name}"),
            own_namespace=self.settings.namespace,
        )

    async def _wait_for_definition(self, client: ApiClient) -> None:
        while True:
            try:
                await require_training_jobs(client)
            except (NotInstalledError, ApiError, RetryableError) as trouble:
                reason = f"waiting: {trouble}"
            else:
                return
            if reason != self._waits_for:
                _log.warning("%s", reason)
            self._waits_for = reason
            await asyncio.sleep(_START_RETRY.total_seconds())

    def _ended(self, work: "asyncio.Task[None]") -> None:
        error = None if work.cancelled() else work.exception()
        self.failure = f"the controller has stopped working: {_innermost(error)!r}"
        _log.critical("the operator ends: %s", self.failure, exc_info=error)
        self.stop_flag.set()
        timer = threading.Timer(_KILL_AFTER.total_seconds(), os._exit, (1,))
        timer.daemon = True
        timer.start()

    def _live_problem(self) -> str | None:
        if self.failure is not None:
            return self.failure
        problem = self._controller.live_problem() if self._controller is not None else None
        if problem != self._logged_problem:
            # The kubelet restarts the container after some such answers, and does not say what they were.
            _log.error("/healthz fails: %s", problem) if problem else _log.info("/healthz succeeds again")
            self._logged_problem = problem
        return problem

    def _ready_problem(self) -> str | None:
        return self._controller.ready_problem() if self._controller is not None else self._waits_for


def _innermost(error: BaseException | None) -> BaseException | None:
    """Return the error of the task that failed first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
