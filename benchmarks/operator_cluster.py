"""A cluster without kubelets, and its operator, measured from outside."""

import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from cluster.testcluster import access, layout, lifecycle
from cluster.testcluster.helm import helm_of
from control_loop.operating import OperatorProcess, operator
from pslgs_operator.api.rest import MERGE_PATCH, request
from pslgs_operator.gvk import TRAINING_JOBS, Resource

NAMESPACE = "default"
_USER = "system:serviceaccount:pslgs-system:pslgs-operator"
_WRITES = {"create", "update", "patch", "delete"}
_AT_ONCE = 32
_LONGEST_LINE = 1 << 24
_NO_LIFECYCLE = "--controllers=*,-node-lifecycle-controller"
"""Nobody renews the Leases of nodes without kubelets, and all of them would be lost after some seconds."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the operator has used since a `Mark`, and in how many seconds."""

    seconds: float
    cpu: float
    requests: Counter[tuple[str, str]]  # by verb and resource

    @property
    def leases(self) -> int:
        """Requests for the leader election, which don't depend on the number of jobs."""
        return sum(number for (_, resource), number in self.requests.items() if resource == "leases")

    @property
    def writes(self) -> int:
        """Objects and statuses written, Leases left out."""
        return sum(
            number
            for (verb, resource), number in self.requests.items()
            if verb in _WRITES and resource != "leases"
        )

    @property
    def reads(self) -> int:
        """All other requests."""
        return self.requests.total() - self.writes - self.leases

    def by_kind(self) -> str:
        """List the kinds of requests, the most frequent first."""
        counted = self.requests.most_common()
        return ", ".join(f"{number} {verb} {resource or 'others'}" for (verb, resource), number in counted)


@dataclass(frozen=True, slots=True)
class Mark:
    """A point in time, from which `Usage` is measured."""

    audit: int
    time: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, its operator, and a client with all rights."""

    server: access.ApiServer
    running: OperatorProcess
    client: ApiClient

    async def make(self, resource: Resource, manifest: dict[str, Any]) -> None:
        """Make an object."""
        await request(self.client, "POST", resource.path(NAMESPACE), body=manifest)

    async def patch(self, resource: Resource, name: str, patch: dict[str, Any], part: str = "") -> None:
        """Merge a patch into an object, or into its subresource ``part``."""
        path = resource.path(NAMESPACE, name, part) if part else resource.path(NAMESPACE, name)
        await request(self.client, "PATCH", path, body=patch, content=MERGE_PATCH)

    async def count(self, resource: Resource) -> int:
        """Count the objects of a kind without reading them all."""
        page = await request(self.client, "GET", resource.path(NAMESPACE), query={"limit": "1"})
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))

    async def reaches(self, number: int, resource: Resource, seconds: float = 600) -> float:
        """Wait until there are so many objects of a kind, and return how many seconds that took."""
        began = time.monotonic()

        async def are_there() -> bool:
            return await self.count(resource) == number

        await until(are_there, seconds)
        return time.monotonic() - began

    def mark(self) -> Mark:
        """Begin to measure."""
        return Mark(self.server.mark(), time.monotonic(), self._cpu_seconds())

    def usage(self, since: Mark) -> Usage:
        """Return what the operator used since a mark."""
        elapsed, cpu = time.monotonic() - since.time, self._cpu_seconds() - since.cpu
        requests = (each for each in self.server.requests(since.audit) if each.user == _USER)
        return Usage(elapsed, cpu, Counter((each.verb, each.resource) for each in requests))

    async def settled(self) -> None:
        """Wait until the operator has not written for ten seconds."""
        while True:
            mark = self.mark()
            await asyncio.sleep(10)
            if not self.usage(mark).writes:
                return

    def _cpu_seconds(self) -> float:
        """Read how long the operator has computed: unlike the clock, it doesn't depend on the neighbours."""
        fields = Path(f"/proc/{self.running.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self, field: str) -> float:
        """Read the operator's resident memory (VmRSS), or its peak (VmHWM)."""
        status = Path(f"/proc/{self.running.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024


@asynccontextmanager
async def cluster(**settings: str) -> AsyncIterator[Cluster]:
    """Start an API server with controllers, and an operator with the chart's defaults and ``settings``."""
    with access.own_instance() as instance, tempfile.TemporaryDirectory() as folder:
        lifecycle.up(instance, controllers=(_NO_LIFECYCLE,))
        server = access.ApiServer(instance.kubeconfig, layout.BIN / "kubectl", instance)
        helm_of(server).change("install", "--create-namespace")
        server.wait_for_kinds()
        user = server.kubeconfig_of(_USER, "system:serviceaccounts", "system:authenticated")
        configuration = Configuration()
        await load_kube_config(config_file=str(instance.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # theirs
        defaults = {"PSLGS_POLL_INTERVAL": "5", "PSLGS_SILENCE_BOUND": "30"}
        with operator(user, Path(folder), up=200, **(defaults | settings)) as running:
            async with ApiClient(configuration) as client:
                yield Cluster(server, running, client)


Predicate = Callable[[dict[str, Any]], bool]


@dataclass(slots=True)
class JobWatch:
    """Watches all jobs, and notes when what is waited for was first seen of each.

    Attributes:
        degraded: Reason and message of each time at which a job became Degraded.
    """

    cluster: Cluster
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    degraded: list[tuple[str, str]] = field(default_factory=list)
    _awaited: list[tuple[Predicate, dict[str, float]]] = field(default_factory=list)

    async def run(self) -> None:
        """Watch until cancelled."""
        async for event in watch(self.cluster, TRAINING_JOBS):
            self._note(event["object"])

    def _note(self, job: dict[str, Any]) -> None:
        name, now = job["metadata"]["name"], time.monotonic()
        new, old = condition(job, "Degraded"), condition(self.latest.get(name, {}), "Degraded")
        if new.get("status") == "True" and new.get("reason") != old.get("reason"):
            self.degraded.append((new["reason"], f"{name}: {new.get('message', '')}"))
        self.latest[name] = job
        for predicate, seen in self._awaited:
            if name not in seen and predicate(job):
                seen[name] = now

    async def first_seen(
        self, names: Iterable[str], predicate: Predicate, seconds: float = 300
    ) -> dict[str, float]:
        """Wait until a predicate has been true of each job, and return the monotonic times of that."""
        wanted, now = set(names), time.monotonic()
        seen = {name: now for name in wanted if name in self.latest and predicate(self.latest[name])}
        self._awaited.append((predicate, seen))

        async def all_seen() -> bool:
            return seen.keys() >= wanted

        await until(all_seen, seconds)
        self._awaited = [each for each in self._awaited if each[1] is not seen]
        return seen


async def watch(place: Cluster, resource: Resource) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a watch, which begins anew, with all there is, when it ends or fails."""
    while True:
        try:
            async for event in _watch_once(place, resource):
                if event["type"] == "ERROR":
                    break
                yield event
        except (aiohttp.ClientError, TimeoutError):
            pass
        await asyncio.sleep(1)


async def _watch_once(place: Cluster, resource: Resource) -> AsyncIterator[dict[str, Any]]:
    url = f"{place.client.configuration.host}{resource.path(NAMESPACE)}?watch=true"
    response = (await place.client.call_api("GET", url, {"Accept": "application/json"})).response
    rest = b""
    try:
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            assert len(rest) < _LONGEST_LINE, f"a line of the watch of {resource.plural} has no end"
            for line in lines:
                yield json.loads(line)
    finally:
        response.close()


def condition(job: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a condition of a job; empty if it has none of that type."""
    found = job.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == kind), {})


def has_condition(kind: str, status: str) -> Predicate:
    """Return a predicate that tells whether a condition has this status."""
    return lambda job: condition(job, kind).get("status") == status


async def until(is_so: Callable[[], Awaitable[bool]], seconds: float = 300) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it is not after that time.
    """
    async with asyncio.timeout(seconds):
        while not await is_so():
            await asyncio.sleep(0.25)


async def together(work: Iterable[Awaitable[None]]) -> None:
    """Do it, some of it at once."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Awaitable[None]) -> None:
        async with slots:
            await item

    await asyncio.gather(*map(one, work))
