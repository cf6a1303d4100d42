"""The operator with many nodes and with many training jobs, against a real API server.

    PYTHONPATH=tests python -m benchmarks.operator_scale [nodes] [jobs] [--nodes 5000] [--jobs 200]

There are no kubelets: the benchmark binds the pods, says that they run, and answers for the training servers.
It prints the tables of docs/explanation/scale.md.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.operator_cluster import (
    NAMESPACE,
    Cluster,
    JobWatch,
    Predicate,
    cluster,
    has_condition,
    together,
    until,
)
from benchmarks.operator_kubelets import COMPUTE_NODE, Kubelets, Servers, node

from control_loop.operating import training_job
from pslgs_operator.gvk import JOBS, NODES, PODS, TRAINING_JOBS

Change = Callable[[str], Awaitable[None]]
_POOL = 5
_FIGURES_SECONDS = 30
"""Time between two writes of a status that change only training figures."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """A cluster whose pods start and whose jobs are watched."""

    cluster: Cluster
    jobs: JobWatch
    kubelets: Kubelets
    servers: Servers

    def degraded(self) -> str:
        """Describe what was reported of jobs as Degraded."""
        found = self.jobs.degraded
        return f"{len(found)}, the first {found[0][0]}, {found[0][1]}" if found else "none"

    async def training(self, seconds: float, what: str) -> list[Row]:
        """Measure the load while all jobs train and nothing else changes."""
        polls, mark = self.servers.polls, self.cluster.mark()
        await asyncio.sleep(seconds)
        used = self.cluster.usage(mark)
        polls = self.servers.polls - polls
        rates = (
            f"{used.writes / used.seconds:.2f} writes/s, {used.reads / used.seconds:.2f} reads/s, "
            f"{used.leases / used.seconds:.2f} requests/s for Leases"
        )
        print(f"<!-- {what}, {used.seconds:.0f} s: {used.by_kind()} -->")
        return [
            Row(f"{what}: requests to the API server, for {used.seconds:.0f} s", rates, "< 10 writes/s"),
            Row(
                f"{what}: CPU of the operator",
                f"{used.cpu / used.seconds:.3f} cores, {polls / used.seconds:.1f} polls of servers/s",
            ),
        ]


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", default=["nodes", "jobs"], help="nodes, jobs; default: both")
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120, help="duration of the measured training")
    arguments = parser.parse_args()
    print("| scenario | measured | target |\n| --- | --- | --- |")
    for name in arguments.scenarios:
        async with bench() as place:
            rows = (
                many_nodes(place, arguments.nodes, arguments.seconds)
                if name == "nodes"
                else many_jobs(place, arguments.jobs, arguments.seconds)
            )
            async for row in rows:
                print(f"| {row.what} | {row.measured} | {row.wanted} |", flush=True)
    print(f"<!-- load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores -->")


@asynccontextmanager
async def bench(**settings: str) -> AsyncIterator[Bench]:
    async with cluster(**settings) as place, Servers().served() as servers:
        watched, kubelets = JobWatch(place), Kubelets(place, servers)
        await place.make(NODES, node(COMPUTE_NODE))
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(watched.run()), tasks.create_task(kubelets.run())]
            yield Bench(place, watched, kubelets, servers)
            for task in background:
                task.cancel()


async def many_nodes(place: Bench, number: int, seconds: float) -> AsyncIterator[Row]:
    """One job with a client on each of many nodes."""
    what = f"one job, {number:,} nodes"
    await together(
        place.cluster.make(NODES, node(f"edge-{index:04}", edge="true")) for index in range(number)
    )
    await asyncio.sleep(5)
    mark, began = place.cluster.mark(), time.monotonic()
    await place.cluster.make(TRAINING_JOBS, training_job("large", NAMESPACE, {"edge": "true"}))
    made = await place.cluster.reaches(number + 1, JOBS, 1200)
    used = place.cluster.usage(mark)
    yield Row(
        f"{what}: all client Jobs are created",
        f"{made:.0f} s, {used.writes:,} writes, {used.cpu:.1f} s of CPU",
        "< 8 min",
    )

    async def all_started() -> bool:
        return place.kubelets.started == number + 1

    await until(all_started, 1800)
    used = place.cluster.usage(mark)
    yield Row(
        f"{what}: all client pods run",
        f"{time.monotonic() - began:.0f} s, {used.writes:,} writes, {used.cpu:.1f} s of CPU",
        "< 8 min",
    )
    summary = f"{number}/{number}"
    await place.jobs.first_seen(
        ["large"], lambda job: job.get("status", {}).get("clients", {}).get("summary") == summary
    )
    yield Row(f"{what}: the status counts all clients", f"{time.monotonic() - began:.0f} s")
    await asyncio.sleep(_FIGURES_SECONDS)
    for row in await place.training(seconds, what):
        yield row
    yield Row(f"{what}: false Degraded", place.degraded(), "none")
    yield memory(place, what)


async def many_jobs(place: Bench, number: int, seconds: float) -> AsyncIterator[Row]:
    """Many jobs that share five nodes; then something changes for all of them at once."""
    what = f"{number} jobs of {_POOL} clients"
    await together(place.cluster.make(NODES, node(f"pool-{index}", pool="true")) for index in range(_POOL))
    names = [f"job-{index:03}" for index in range(number)]
    mark, began = place.cluster.mark(), time.monotonic()
    jobs = [training_job(name, NAMESPACE, {"pool": "true"}) for name in names]
    await together(place.cluster.make(TRAINING_JOBS, job) for job in jobs)
    made = await place.cluster.reaches((_POOL + 1) * number, JOBS)
    used = place.cluster.usage(mark)
    yield Row(
        f"{what}, applied at once: all child Jobs are created",
        f"{made:.0f} s, {used.writes:,} writes, {used.cpu:.1f} s of CPU",
    )
    await place.cluster.reaches((_POOL + 1) * number, PODS)
    await place.jobs.first_seen(names, has_condition("Ready", "True"), 600)
    yield Row(f"{what}: all of them train", f"{time.monotonic() - began:.0f} s")
    await asyncio.sleep(_FIGURES_SECONDS)
    for row in await place.training(seconds, what):
        yield row
    async for row in reactions(place, names):
        yield row
    yield memory(place, what)


async def reactions(place: Bench, names: Sequence[str]) -> AsyncIterator[Row]:
    """Change something for all training jobs at once, and measure until their statuses show it."""
    poll = "≤ 5 s more than the poll interval of 5 s"

    async def change_spec(name: str) -> None:
        await place.cluster.patch(TRAINING_JOBS, name, {"spec": {"backoffLimit": 5}})

    def is_second(job: dict[str, Any]) -> bool:
        return bool(job.get("status", {}).get("observedGeneration") == 2)

    yield await reaction(place, names, "the spec changes", change_spec, is_second, "p95 ≤ 5 s")

    began, number = time.monotonic(), len(names)
    await place.cluster.make(NODES, node(f"pool-{_POOL}", pool="true"))
    await place.cluster.reaches((_POOL + 2) * number, JOBS)
    yield Row("a node joins: every job has its client Job", f"{time.monotonic() - began:.1f} s")
    summary = f"{_POOL + 1}/{_POOL + 1}"
    await place.jobs.first_seen(
        names, lambda job: job.get("status", {}).get("clients", {}).get("summary") == summary
    )
    yield Row("… and every status counts it", f"{time.monotonic() - began:.1f} s")
    yield Row("false Degraded until here", place.degraded(), "none")

    async def lose(name: str) -> None:
        place.servers.lost[name] = {"pool-0-0"}

    async def find(name: str) -> None:
        place.servers.lost[name] = set()

    lost, found = has_condition("Degraded", "True"), has_condition("Degraded", "False")
    yield await reaction(place, names, "servers report a lost client", lose, lost, poll)
    yield await reaction(place, names, "the clients are back", find, found, poll)
    ended = has_condition("Complete", "True")
    yield await reaction(
        place,
        names,
        "trainings end (and the Job controller completes their Jobs)",
        place.kubelets.finish,
        ended,
        "p95 ≤ 5 s",
    )


async def reaction(  # noqa: PLR0913, PLR0917 - what a change is
    place: Bench, names: Sequence[str], what: str, change: Change, shows: Predicate, wanted: str
) -> Row:
    """Change every job, and measure how long each status takes to show it."""
    sent: dict[str, float] = {}

    async def timed(name: str) -> None:
        sent[name] = time.monotonic()
        await change(name)

    mark = place.cluster.mark()
    watch = asyncio.create_task(place.jobs.first_seen(names, shows))
    await together(timed(name) for name in names)
    seen = await watch
    used = place.cluster.usage(mark)
    return Row(
        f"{what}, for all jobs at once: until the status shows it",
        f"{spread([seen[name] - sent[name] for name in names])}; {used.cpu:.1f} s of CPU",
        wanted,
    )


def spread(seconds: Sequence[float]) -> str:
    """Describe durations."""
    ordered = sorted(seconds)
    p95 = ordered[int(0.95 * len(ordered))]
    return f"median {statistics.median(ordered):.1f} s, p95 {p95:.1f} s, longest {ordered[-1]:.1f} s"


def memory(place: Bench, what: str) -> Row:
    """Read the operator's memory, now and at its peak."""
    now, peak = place.cluster.megabytes("VmRSS"), place.cluster.megabytes("VmHWM")
    return Row(f"{what}: memory of the operator", f"{now:.0f} MB, at most {peak:.0f} MB", "< 400 MB")


if __name__ == "__main__":
    asyncio.run(main())
