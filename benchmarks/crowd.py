"""A real server and many light clients, which speak the protocol and compute nothing.

The server trains a small network as `pslgs server` does, over mutual TLS.  All clients live in another
process: each has a connection and a certificate of its own, and answers with zeros at once.  So what is
measured is what clients cost the server, and what their number changes.
"""

import asyncio
import json
import logging
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import NamedTuple

from benchmarks import bare_crowd, jobs
from benchmarks.bare_crowd import Exchanges, Floor
from benchmarks.light_clients import LightClient, Sizes, run
from benchmarks.processes import in_own_process, resident_memory

from pslgs.cli.container import run_process
from pslgs.identity.authority import CertificateAuthority
from pslgs.process.tasks import in_background
from pslgs.process.termination_message import ExitStatus, TerminationMessage
from pslgs.server.main import ENDPOINTS_FILE, run_server
from pslgs.server.options import ServerOptions
from pslgs.spec import SplitTrainingJob, parse_job
from pslgs.spec.digest import job_digest
from pslgs.telemetry.journal import read
from pslgs.telemetry.records import StepRecord
from pslgs.transport.v1.training_pb2 import Hello

INPUTS, CLASSES = 64, 10
WARM_UP = 2
"""Steps that are not measured."""

LOOK_SECONDS = 0.01
"""Time between two looks at the clock of the server's event loop."""


class Crowd(NamedTuple):
    """How many clients train how much.

    Attributes:
        clients: Number of clients.
        batch: Size of the global batch.
        steps: Number of steps, at least.
        hidden: Width of the layer after which the network is cut.
    """

    clients: int
    batch: int
    steps: int
    hidden: int = 128

    @property
    def samples(self) -> int:
        """Training samples of each client."""
        return -(-self.batch * self.steps // self.clients)

    @property
    def sizes(self) -> Sizes:
        """Sizes of what a client receives and sends."""
        return Sizes(parameters=4 * self.hidden * (INPUTS + 1), row=4 * self.hidden, label=8)


CROWDS = [Crowd(10, 40, 200), Crowd(100, 400, 60), Crowd(1_000, 4_000, 20), Crowd(10_000, 128, 70)]
"""In the last, few of many clients are active."""


class Look(NamedTuple):
    """What the server process had used at a time.

    Attributes:
        time: Unix time in seconds.
        cpu_seconds: Since it began.
        late: Seconds by which the event loop was late to look.
    """

    time: float
    cpu_seconds: float
    late: float


class Observed(NamedTuple):
    """What was observed in the server process from its beginning to its end.

    Attributes:
        looks: In order.
        memory: Bytes by which it had grown at its end.
    """

    looks: list[Look]
    memory: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A run; steps without the first ones.

    Attributes:
        crowd: Its clients.
        join_seconds: From the first connection until all clients were welcome.
        active: Active clients of a step, mean.
        step_seconds: From the end of a step to the end of the next, median.
        protocol_seconds: Of these what is neither the server part nor the update.
        cpu_seconds: Of the server process, of a step, mean.
        join_stall_seconds: Longest time for which the event loop was late before the first step.
        stall_seconds: The same afterwards.
        memory: Bytes by which the server process had grown at its end since it began.
    """

    crowd: Crowd
    join_seconds: float
    active: float
    step_seconds: float
    protocol_seconds: float
    cpu_seconds: float
    join_stall_seconds: float
    stall_seconds: float
    memory: int


def compare(crowd: Crowd) -> tuple[Measured, Floor]:
    """Measure a crowd, and a bare exchange of the same messages between as many clients."""
    ours = measure(crowd)
    active = round(ours.active)
    samples, sizes = crowd.batch // active, crowd.sizes
    down = sizes.parameters, samples * sizes.row
    up = samples * (sizes.row + sizes.label), sizes.parameters
    return ours, bare_crowd.measure(Exchanges(crowd.clients, active, min(crowd.steps, 60), down, up))


def measure(crowd: Crowd) -> Measured:
    """Train a job with a crowd of clients to its end."""
    pipe, other = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        outputs, identity = Path(folder) / "run", Path(folder) / "identity"
        clients = _clients(crowd, identity)
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(crowd, outputs, identity, other)
        )
        process.start()
        join_seconds = in_own_process(run, f"127.0.0.1:{pipe.recv()}", clients, crowd.sizes)
        observed: Observed = pipe.recv()
        process.join()
        steps = [each for each in read(outputs / "metrics.jsonl") if isinstance(each, StepRecord)]
    return _measured(crowd, join_seconds, steps, observed)


def table(compared: Sequence[tuple[Measured, Floor]]) -> str:
    """Return the figures as a Markdown table; those of the bare exchange follow in brackets."""
    lines = [
        "| clients | active | join, s | step, ms | protocol, ms an active client "
        "| server CPU, ms an active client | late while joining, ms | late in steps, ms "
        "| memory, KB a client |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for ours, bare in compared:
        active = round(ours.active)
        cells = [
            f"{ours.crowd.clients:,}",
            f"{active:,}",
            f"{ours.join_seconds:.1f}",
            f"{ours.step_seconds * 1e3:.0f}",
            f"{ours.protocol_seconds * 1e3 / active:.2f} ({bare.seconds * 1e3 / active:.2f})",
            f"{ours.cpu_seconds * 1e3 / active:.2f} ({bare.cpu_seconds * 1e3 / active:.2f})",
            f"{ours.join_stall_seconds * 1e3:.0f}",
            f"{ours.stall_seconds * 1e3:.0f}",
            f"{ours.memory / 1e3 / ours.crowd.clients:.0f} ({bare.memory / 1e3 / ours.crowd.clients:.0f})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _job(crowd: Crowd) -> SplitTrainingJob:
    document = jobs.mlp(crowd.clients)
    document["spec"]["sampling"]["globalBatchSize"] = crowd.batch
    document["spec"]["epochs"] = 1
    document["spec"]["model"]["inputShape"] = [INPUTS]
    document["spec"]["model"]["options"]["hidden"] = [crowd.hidden, 64]
    return parse_job(document)


def _clients(crowd: Crowd, server_identity: Path) -> list[LightClient]:
    """Issue the certificates of all clients, and that of the server into a folder."""
    now, day, digest = datetime.now(UTC), timedelta(days=1), job_digest(_job(crowd).spec)
    authority = CertificateAuthority.create("benchmark", now, day)
    authority.issue_server(["127.0.0.1"], now, day).save(server_identity)
    counts = [crowd.samples] + [0] * (CLASSES - 1)

    def client(name: str) -> LightClient:
        hello = Hello(
            client_id=name,
            job_digest=digest,
            samples=crowd.samples,
            label_counts=counts,
            input_shape=[INPUTS],
        )
        return LightClient(authority.issue_client(name, now, day), hello)

    return [client(f"client-{number}") for number in range(crowd.clients)]


def _serve(crowd: Crowd, outputs: Path, identity: Path, pipe: Pipe) -> None:
    logging.basicConfig(filename=outputs.with_suffix(".log"), level=logging.INFO)
    run_process(_run_server(crowd, outputs, identity, pipe), threads=1)


async def _run_server(crowd: Crowd, outputs: Path, identity: Path, pipe: Pipe) -> ExitStatus:
    looks: list[Look] = []
    options = ServerOptions(
        "127.0.0.1:0", ("127.0.0.1", 0), identity, outputs, outputs / "cache", crowd.clients, device="cpu"
    )
    async with in_background(_look(outputs / ENDPOINTS_FILE, pipe, looks)):
        before = resident_memory()
        status = await run_server(_job(crowd), options, TerminationMessage())
        pipe.send(Observed(looks, resident_memory() - before))
        return status


async def _look(endpoints: Path, pipe: Pipe, looks: list[Look]) -> None:
    """Look at the clock again and again, once clients can connect."""
    while not endpoints.exists():
        await asyncio.sleep(LOOK_SECONDS)
    pipe.send(json.loads(endpoints.read_text())["grpc"])
    while True:
        due = time.perf_counter() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        looks.append(Look(time.time(), time.process_time(), max(0.0, time.perf_counter() - due)))


def _measured(crowd: Crowd, join_seconds: float, steps: Sequence[StepRecord], observed: Observed) -> Measured:
    looks = observed.looks
    first, *counted = steps[WARM_UP - 1 :]
    between = [look for look in looks if first.time <= look.time <= counted[-1].time]
    return Measured(
        crowd,
        join_seconds,
        active=statistics.mean(len(step.allocation) for step in counted),
        step_seconds=statistics.median(later.time - one.time for one, later in pairwise([first, *counted])),
        protocol_seconds=statistics.median(
            step.seconds["forward_wait"] + step.seconds["backward_wait"] for step in counted
        ),
        cpu_seconds=(between[-1].cpu_seconds - between[0].cpu_seconds) / len(counted),
        join_stall_seconds=max(look.late for look in looks if look.time < steps[0].time),
        stall_seconds=max(look.late for look in between),
        memory=observed.memory,
    )
