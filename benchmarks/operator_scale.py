"""The operator with many nodes and many jobs, against a real API server; there are no kubelets.

    PYTHONPATH=tests python -m benchmarks.operator_scale [--nodes 1000] [--jobs 200]

It prints the tables of docs/scale.md.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from cluster.testcluster import access, layout, lifecycle
from cluster.testcluster.helm import helm_of
from control_loop.operating import OperatorProcess, operator, training_job
from pslgs_operator.api.rest import MERGE_PATCH, request
from pslgs_operator.gvk import JOBS, NODES, PODS, TRAINING_JOBS, Resource
from pslgs_operator.informer import list_versions

NAMESPACE = "default"
USER = "system:serviceaccount:pslgs-system:pslgs-operator"
WRITES = {"create", "update", "patch", "delete"}
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster, its operator, and a client with all rights."""

    server: access.ApiServer
    running: OperatorProcess
    client: ApiClient

    async def make(self, resource: Resource, manifest: dict[str, Any]) -> None:
        """Make an object."""
        await request(self.client, "POST", resource.path(NAMESPACE), body=manifest)

    async def patch(self, resource: Resource, name: str, patch: dict[str, Any]) -> None:
        """Merge a patch into an object."""
        await request(self.client, "PATCH", resource.path(NAMESPACE, name), body=patch, content=MERGE_PATCH)

    async def has(self, number: int, resource: Resource = JOBS) -> bool:
        """Tell whether there are so many child Jobs, or pods, of all jobs."""
        return len((await list_versions(self.client, resource, NAMESPACE)).objects) == number

    def writes(self, since: int) -> int:
        """Count the operator's writes since a mark of the API server's audit log."""
        return sum(each.user == USER and each.verb in WRITES for each in self.server.requests(since))

    def cpu_seconds(self) -> float:
        """Read how long the operator has computed: unlike the clock, it doesn't depend on the neighbours."""
        fields = Path(f"/proc/{self.running.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self, field: str) -> float:
        """Read the operator's resident memory (VmRSS), or its peak (VmHWM)."""
        status = Path(f"/proc/{self.running.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=200)
    arguments = parser.parse_args()
    async with site() as place:
        print("| what | measured | wanted |\n| --- | --- | --- |")
        for rows in (many_nodes(place, arguments.nodes), many_jobs(place, arguments.jobs)):
            for row in await rows:
                print(f"| {row.what} | {row.measured} | {row.wanted} |", flush=True)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    with access.own_instance() as instance, tempfile.TemporaryDirectory() as folder:
        lifecycle.up(instance)
        server = access.ApiServer(instance.kubeconfig, layout.BIN / "kubectl", instance)
        helm_of(server).change("install", "--create-namespace")
        server.run("wait", "--for=condition=Established", "crd/splittrainingjobs.pslgs.dev")
        user = server.kubeconfig_of(USER, "system:serviceaccounts", "system:authenticated")
        configuration = Configuration()
        await load_kube_config(config_file=str(instance.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # theirs
        with operator(user, Path(folder), PSLGS_POLL_INTERVAL="5", PSLGS_SILENCE_BOUND="30") as running:
            async with ApiClient(configuration) as client:
                yield Site(server, running, client)


async def many_nodes(place: Site, number: int) -> list[Row]:
    """One job with a client on each of many nodes."""
    await together(place.make(NODES, node(f"edge-{index:04}", edge="true")) for index in range(number))
    before, computed = place.server.mark(), place.cpu_seconds()
    began = time.monotonic()
    await place.make(TRAINING_JOBS, training_job("large", NAMESPACE, {"edge": "true"}))
    await until(lambda: place.has(number + 1))
    made = time.monotonic() - began
    written, computed = place.writes(before), place.cpu_seconds() - computed
    peak = place.megabytes("VmHWM")
    await until(lambda: place.has(number + 1, PODS), 600)  # the Job controller makes some twenty a second
    await settled(place)
    mark, idle_from = place.server.mark(), time.monotonic()
    await asyncio.sleep(60)
    rate = place.writes(mark) / (time.monotonic() - idle_from)
    await request(place.client, "DELETE", TRAINING_JOBS.path(NAMESPACE, "large"))
    await until(lambda: place.has(0), 600)
    return [
        Row(
            f"{number} nodes: all client Jobs are made",
            f"{made:.1f} s, {written} writes, {computed:.1f} s of CPU",
            "< 90 s",
        ),
        Row(f"{number} nodes: peak memory of the operator", f"{peak:.0f} MB", "< 400 MB"),
        Row(f"{number} nodes: writes while nothing happens", f"{rate:.2f}/s", "< 1/s"),
    ]


async def many_jobs(place: Site, number: int) -> list[Row]:
    """Many jobs that share five nodes; then something changes for all of them at once."""
    await together(place.make(NODES, node(f"pool-{index}", pool="true")) for index in range(5))
    names = [f"job-{index:03}" for index in range(number)]
    began = time.monotonic()
    jobs = [training_job(name, NAMESPACE, {"pool": "true"}) for name in names]
    await together(place.make(TRAINING_JOBS, job) for job in jobs)
    await until(lambda: place.has(6 * number), 600)
    made = time.monotonic() - began
    await until(lambda: place.has(6 * number, PODS), 600)
    await settled(place)
    computed = place.cpu_seconds()
    changed = await latencies(place, names)
    computed = place.cpu_seconds() - computed
    began = time.monotonic()
    await place.make(NODES, node("pool-5", pool="true"))
    await until(lambda: place.has(7 * number), 600)
    joined = time.monotonic() - began
    ordered = sorted(changed)
    p95 = ordered[int(0.95 * len(ordered))]
    return [
        Row(f"{number} jobs of 5 clients applied at once: all is made", f"{made:.0f} s", ""),
        Row(
            f"{number} jobs changed at once: until their status says so",
            f"median {statistics.median(ordered):.1f} s, p95 {p95:.1f} s, longest {ordered[-1]:.1f} s, "
            f"{computed:.1f} s of CPU",
            "p95 ≤ 5 s",
        ),
        Row(f"{number} jobs: a node joins, until every job has its client", f"{joined:.1f} s", ""),
        Row(f"{number} jobs: memory of the operator", f"{place.megabytes('VmRSS'):.0f} MB", "< 400 MB"),
    ]


async def latencies(place: Site, names: list[str]) -> list[float]:
    """Change the spec of every job, and measure how long each status takes to tell of it."""
    seen: dict[str, float] = {}
    watch = asyncio.create_task(observe(place, set(names), seen))
    sent: dict[str, float] = {}

    async def change(name: str) -> None:
        sent[name] = time.monotonic()
        await place.patch(TRAINING_JOBS, name, {"spec": {"backoffLimit": 5}})

    await together(change(name) for name in names)
    await asyncio.wait_for(watch, 300)
    return [seen[name] - sent[name] for name in names]


async def observe(place: Site, names: set[str], seen: dict[str, float]) -> None:
    """Watch until every job's status tells of its second generation."""
    url = f"{place.client.configuration.host}{TRAINING_JOBS.path(NAMESPACE)}?watch=true"
    while not seen.keys() >= names:  # a watch may end at any time, and begins with all there is
        response = (await place.client.call_api("GET", url, {"Accept": "application/json"})).response
        async for line in response.content:
            job = json.loads(line)["object"]
            if job.get("status", {}).get("observedGeneration") == 2:
                seen.setdefault(job["metadata"]["name"], time.monotonic())
            if seen.keys() >= names:
                break
        response.close()


async def settled(place: Site) -> None:
    """Wait until the operator has not written for ten seconds; nodes without kubelets get lost first."""
    while True:
        mark = place.server.mark()
        await asyncio.sleep(10)
        if not place.writes(mark):
            return


async def until(look: Callable[[], Awaitable[bool]], seconds: float = 300) -> None:
    async with asyncio.timeout(seconds):
        while not await look():
            await asyncio.sleep(0.25)


async def together(work: Iterable[Awaitable[None]]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: Awaitable[None]) -> None:
        async with slots:
            await item

    await asyncio.gather(*map(one, work))


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


if __name__ == "__main__":
    asyncio.run(main())
