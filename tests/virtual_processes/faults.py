"""Random faults of the processes of a job and of the streams between them."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from exactness.small_job import CLIENTS, job_spec
from pslgs.spec import JobSpec
from pslgs.spec.exit_codes import ExitCode
from virtual_processes.network import SERVER, Network
from virtual_processes.processes import Job

SECONDS_OF_A_JOB = 6.0
PATIENCE_SECONDS = 900.0
"""Virtual seconds within which every job ends."""


class Kind(StrEnum):
    """What a fault is."""

    LINK_BREAKS = "a client's stream breaks"
    LINK_IS_SILENT = "a client's stream breaks, which only the client notices"
    LINK_IS_HELD_UP = "nothing arrives on a client's stream for a while"
    LINK_IS_SLOW = "a client's stream is slow"
    CLIENT_DIES = "a client's process dies"
    SERVER_DIES = "the server's process dies"
    SERVER_STOPS = "the server is asked to stop, and started again"


OF_THE_SERVER = frozenset({Kind.SERVER_DIES, Kind.SERVER_STOPS})
KEEPALIVE_SECONDS = 40.0
RESTART_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: when, what, to whom, and for how long."""

    at: float
    kind: Kind
    client: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A job, and the faults that hit it.

    Attributes:
        seed: Seed of everything random while it runs.
        changes: Changes of the manifest of the small job.
        faults: The faults, in order of time.
    """

    seed: int
    changes: Mapping[str, Any]
    faults: tuple[Fault, ...]

    @property
    def spec(self) -> JobSpec:
        """The job's spec."""
        return job_spec(**self.changes)

    @property
    def is_exact(self) -> bool:
        """Whether the weights at the end must be those of an undisturbed run."""
        waits = self.changes["faultTolerance"]["onLostClient"] == "Wait"
        return waits or all(fault.kind in OF_THE_SERVER for fault in self.faults)


EVALUATION = {
    "format": "Custom",
    "entrypoint": "exactness.small_job:Samples",
    "options": {"kind": "classes", "seed": 4},
}


def scenario(seed: int) -> Scenario:
    """Draw the scenario of a seed."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    changes = {
        "epochs": rng.randint(1, 3),
        "sampling": {"globalBatchSize": rng.choice([5, 8, 16]), "seed": rng.randrange(1000)},
        "checkpoint": {"everySteps": rng.choice([1, 2, 5, 500])},
        "faultTolerance": {
            "onLostClient": rng.choice(["Continue", "Wait"]),
            "clientTimeoutSeconds": rng.choice([3, 10]),
            "quorumTimeoutSeconds": 300,
        },
        "data": {"evaluation": EVALUATION | {"at": rng.choice(["Server", "Clients"])}},
    }
    kinds = [kind for kind in Kind if rng.random() < 0.6] or [Kind.LINK_BREAKS]
    number = rng.choice([rng.randint(1, 3), rng.randint(1, 3), rng.randint(3, 8)])
    faults = (
        Fault(
            rng.uniform(0.0, SECONDS_OF_A_JOB),
            rng.choice(kinds),
            rng.choice(CLIENTS),
            rng.choice([rng.uniform(0.0, 1.0), rng.uniform(0.0, 6.0)]),
        )
        for _ in range(number)
    )
    return Scenario(seed, changes, tuple(sorted(faults, key=lambda fault: fault.at)))


async def train(scenario: Scenario, folder: Path) -> Job:
    """Run a job to its end under its faults, and return it.

    Raises:
        TimeoutError: it does not end.
    """
    rng = random.Random(scenario.seed)  # noqa: S311 - no secret
    latencies = {name: rng.uniform(0.001, 0.05) for name in CLIENTS}
    job = Job(scenario.spec, folder, CLIENTS, rng, Network(rng, latencies))
    with job.patched():
        job.start_server()
        for name in CLIENTS:
            job.start_client(name)
        async with asyncio.timeout(PATIENCE_SECONDS):
            ending = asyncio.create_task(_until_the_end(job))
            striking = asyncio.create_task(_strike_all(job, scenario.faults))
            await asyncio.wait({ending, striking}, return_when=asyncio.FIRST_EXCEPTION)
            striking.result()
            ending.result()
        for name in CLIENTS:
            await job.processes[name].kill()
    return job


async def _until_the_end(job: Job) -> None:
    """Start the server again until it has trained the job to the end."""
    while True:
        server = job.processes[SERVER]
        await asyncio.wait({server.task})
        if server.killed:
            await server.gone.wait()
        elif server.task.result().exit_code is not ExitCode.INTERRUPTED:
            return
        await asyncio.sleep(RESTART_SECONDS)
        job.start_server()


async def _strike_all(job: Job, faults: tuple[Fault, ...]) -> None:
    loop = asyncio.get_running_loop()
    for fault in faults:
        await asyncio.sleep(max(0.0, fault.at - loop.time()))
        await _strike(job, fault)


async def _strike(job: Job, fault: Fault) -> None:
    link, server = job.network.links.get(fault.client), job.processes[SERVER]
    match fault.kind:
        case Kind.LINK_BREAKS if link:
            link.break_()
        case Kind.LINK_IS_SILENT if link:
            link.break_(server_notices_after=KEEPALIVE_SECONDS)
        case Kind.LINK_IS_HELD_UP if link:
            link.held_until = asyncio.get_running_loop().time() + fault.seconds
        case Kind.LINK_IS_SLOW if link:
            link.latency *= 10
        case Kind.CLIENT_DIES:
            await job.kill_client(fault.client)
            await asyncio.sleep(fault.seconds)
            job.start_client(fault.client)
        case Kind.SERVER_DIES if not server.task.done():
            await job.crash_server()
        case Kind.SERVER_STOPS if not server.stop.done():
            server.stop.set_result("it was asked to stop")
