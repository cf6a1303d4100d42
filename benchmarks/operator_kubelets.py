"""The part of the scheduler, of kubelets and of training servers, for an operator that is measured."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web
from benchmarks.operator_cluster import NAMESPACE, Cluster, watch

from control_loop.operating import container_status, running
from pslgs_operator import names
from pslgs_operator.api.errors import ApiError
from pslgs_operator.api.rest import request
from pslgs_operator.gvk import PODS
from pslgs_operator.kube_client import RetryableError

COMPUTE_NODE = "compute"
_STEPS_PER_SECOND = 2.0
_STEPS = 1_000_000
_AT_ONCE = 32


@dataclass(slots=True)
class Servers:
    """The status pages of the training servers: each has an address of its own in 127.0.0.0/8.

    Attributes:
        live: The clients that take part, by job.
        lost: The clients that were lost, by job.
        polls: How often a page was read.
    """

    began: float = field(default_factory=time.monotonic)
    live: dict[str, set[str]] = field(default_factory=dict)
    lost: dict[str, set[str]] = field(default_factory=dict)
    polls: int = 0
    _jobs: dict[str, str] = field(default_factory=dict)
    _sites: dict[str, web.TCPSite] = field(default_factory=dict)
    _free: list[str] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Servers"]:
        """Serve the pages until it is left."""
        application = web.Application()
        application.router.add_get("/status", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        try:
            yield self
        finally:
            await self._runner.cleanup()

    async def start(self, job: str) -> str:
        """Serve the page of a job's server, and return its address."""
        assert self._runner is not None
        number = len(self._jobs)
        ip = self._free.pop() if self._free else f"127.0.{100 + number // 250}.{1 + number % 250}"
        self._jobs[ip] = job
        self._sites[ip] = web.TCPSite(self._runner, ip, names.HTTP_PORT)
        await self._sites[ip].start()
        return ip

    async def stop(self, job: str) -> None:
        """Serve the pages of a job's servers no longer."""
        for ip in [ip for ip, served in self._jobs.items() if served == job]:
            await self._sites.pop(ip).stop()
            del self._jobs[ip]
            self._free.append(ip)
        self.live.pop(job, None)
        self.lost.pop(job, None)

    async def _answer(self, call: web.Request) -> web.Response:
        self.polls += 1
        assert call.transport is not None
        job = self._jobs.get(call.transport.get_extra_info("sockname")[0])
        if job is None:  # on a connection that was open when the server ended
            raise web.HTTPServiceUnavailable
        return web.json_response(self._status(job))

    def _status(self, job: str) -> dict[str, Any]:
        live, lost = self.live.get(job, set()), self.lost.get(job, set())
        if not live - lost:
            return {"phase": "Waiting", "message": "for clients"}
        step = int((time.monotonic() - self.began) * _STEPS_PER_SECOND)
        figures = {"loss": 1 / (1 + step), "accuracy": 1 - 1 / (2 + step), "samplesPerSecond": 100.0}
        return {
            "phase": "Training",
            "epoch": 1,
            "epochs": 2,
            "step": step,
            "steps": _STEPS,
            "progress": step / _STEPS,
            "clients": {"live": sorted(live - lost), "lost": sorted(lost)},
            **figures,
        }


@dataclass(slots=True)
class Kubelets:
    """Binds and starts every pod that is created, and ends those that are deleted; clients join at once."""

    cluster: Cluster
    servers: Servers
    started: int = 0
    server_pods: dict[str, str] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def run(self) -> None:
        """Start pods until cancelled."""
        async with asyncio.TaskGroup() as working:
            async for event in watch(self.cluster, PODS):
                metadata = event["object"]["metadata"]
                if event["type"] == "DELETED":
                    self._seen.discard(metadata["name"])
                elif "deletionTimestamp" in metadata:
                    working.create_task(self._end(metadata["name"]))
                elif metadata["name"] not in self._seen:
                    self._seen.add(metadata["name"])
                    working.create_task(self._start(metadata))

    async def _start(self, metadata: dict[str, Any]) -> None:
        name, job = metadata["name"], metadata["labels"][names.JOB_LABEL]
        client = metadata.get("annotations", {}).get(names.CLIENT_ANNOTATION)
        node = client.rpartition("-")[0] if client else COMPUTE_NODE
        ip = "10.0.0.1" if client else await self.servers.start(job)
        try:
            async with self._slots:
                await _persistently(lambda: self._bind(name, node))
                status = {"status": _running(name, ip)}
                await _persistently(lambda: self.cluster.patch(PODS, name, status, "status"))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:  # it was deleted meanwhile
                return
            raise
        if client:
            self.servers.live.setdefault(job, set()).add(client)
        else:
            self.server_pods[job] = name
        self.started += 1

    async def _end(self, pod: str) -> None:
        path = PODS.path(NAMESPACE, pod)
        try:
            await request(self.cluster.client, "DELETE", path, body={"gracePeriodSeconds": 0})
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def _bind(self, pod: str, node: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod},
            "target": target,
        }
        try:
            await request(self.cluster.client, "POST", PODS.path(NAMESPACE, pod, "binding"), body=binding)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:  # an attempt before took effect
                raise

    async def finish(self, job: str) -> None:
        """End a job's server as one whose training is over."""
        end = {"exitCode": 0, "reason": "Completed", "startedAt": _now(), "finishedAt": _now()}
        words = {"exitCode": 0, "message": "", "phase": "Finished", "progress": 1.0}
        terminated = {"terminated": end | {"message": json.dumps(words), "containerID": "x://1"}}
        status = {"phase": "Succeeded", "containerStatuses": [container_status("server", terminated)]}
        await self.cluster.patch(PODS, self.server_pods[job], {"status": status}, "status")


async def _persistently(send: Callable[[], Awaitable[None]]) -> None:
    """Send a request again for as long as the API server is too busy to answer, as kubelets do."""
    while True:
        try:
            return await send()
        except RetryableError:
            await asyncio.sleep(1)


def _running(pod: str, ip: str) -> dict[str, Any]:
    status = running(pod, ip)
    status["startTime"] = _now()
    status["containerStatuses"][0]["state"] = {"running": {"startedAt": _now()}}
    return status


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def node(name: str, **labels: str) -> dict[str, Any]:
    """Make the manifest of a node whose kubelet is ready."""
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": _now()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"conditions": [ready | {"lastHeartbeatTime": _now()}]},
    }
