"""Measures how long a server takes to go on with a long run, from its start to an open gRPC port.

python -m benchmarks.resume_scale [--steps 1000 10000 100000] [--clients 100]

The journal is made of one step's record, repeated; 100 clients take about 6.5 kB a step.
"""

import argparse
import asyncio
import resource
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.settings import settings_from
from pslgs.process.termination_message import TerminationMessage
from pslgs.server import run_checkpoint
from pslgs.server.main import ENDPOINTS_FILE, run_server
from pslgs.server.options import ServerOptions
from pslgs.spec import SplitTrainingJob, parse_job
from pslgs.telemetry.records import CheckpointRecord, StepRecord, encode
from pslgs.training.checkpoint import CheckpointStore
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.setup import build_setup

STEPS = (1000, 10_000, 100_000)

TAIL = 500
"""Steps that were taken after the last checkpoint, and are cut off."""

JOB = {
    "apiVersion": "pslgs.dev/v1alpha1",
    "kind": "SplitTrainingJob",
    "metadata": {"name": "long"},
    "spec": {
        "model": {
            "architecture": "mlp",
            "options": {"inputs": 4, "hidden": [2, 5], "outputs": 3},
            "cutLayer": "hidden1",
            "inputShape": [4],
        },
        "data": {"train": {"format": "NumPy", "path": "/nowhere"}},
        "epochs": 2,
        "transport": {"tls": "Disabled"},
    },
}


def step_record(step: int, clients: int) -> StepRecord:
    """Make the record of a step in which all clients are active."""
    names = [f"edge-node-{index:04}-0" for index in range(clients)]
    return StepRecord(
        time=1.7e9 + step,
        epoch=1,
        step=step,
        attempt=1,
        loss=0.123456789012345,
        batch_size=clients,
        deviation=0.123456789012345,
        deviation_expected=0.123456789012345,
        deviation_bound=0.423456789012345,
        learning_rate=0.01,
        allocation=dict.fromkeys(names, (123456, 1)),
        seconds=dict.fromkeys(("forward_wait", "server", "backward_wait", "update"), 0.012345678901),
        response_seconds=dict.fromkeys(names, (0.012345678901, 0.012345678901)),
    )


def write_run(folder: Path, job: SplitTrainingJob, steps: int, clients: int, *, keep_size: bool) -> int:
    """Write journal and checkpoint of a killed run; return the bytes of the journal."""
    template = encode(step_record(10**9, clients)) + b"\n"
    before, after = template.split(b'"step":1000000000')
    journal = folder / "metrics.jsonl"

    def write_steps(first: int, last: int) -> None:
        with journal.open("ab") as file:
            for step in range(first, last + 1):
                file.write(b'%s"step":%d%s' % (before, step, after))

    write_steps(1, steps)
    progress = {"figures": {"step": steps, "epoch": 1}, "journal_bytes": journal.stat().st_size}
    spec = job.spec
    state = replace(Coordinator(settings_from(spec, 1), 0.0).state(0.0), step=steps)
    task, network = build_setup(spec, (4,))
    model = LocalServerModel(task, network, torch.device("cpu"))
    rest = run_checkpoint.snapshot(state, {}, spec, progress)
    if not keep_size:
        del rest["progress"]
    run_checkpoint.save(CheckpointStore(folder / "checkpoints", 2), steps, model, rest)
    with journal.open("ab") as file:
        file.write(encode(CheckpointRecord(1.7e9, steps, 0.1)) + b"\n")
    write_steps(steps + 1, steps + TAIL)
    return journal.stat().st_size


async def seconds_to_resume(folder: Path, job: SplitTrainingJob) -> float:
    """Start a server in this process; return the seconds until clients can connect."""
    options = ServerOptions("127.0.0.1:0", ("127.0.0.1", 0), None, folder, folder / "cache", 1)
    endpoints = folder / ENDPOINTS_FILE
    begun = time.monotonic()
    server = asyncio.create_task(run_server(job, options, TerminationMessage()))
    while not endpoints.exists():
        await asyncio.sleep(0.001)
        if server.done():
            server.result()
    seconds = time.monotonic() - begun
    signal.raise_signal(signal.SIGTERM)
    await server
    return seconds


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS, help="of the runs that are resumed")
    parser.add_argument("--clients", type=int, default=100, help="active clients of each step")
    arguments = parser.parse_args()
    job = parse_job(JOB)
    print("| steps | journal | checkpoint of | seconds | peak memory |\n| --- | --- | --- | --- | --- |")
    for steps in arguments.steps:
        for keep_size, version in ((True, "this version"), (False, "an earlier version")):
            with tempfile.TemporaryDirectory() as folder:
                size = write_run(Path(folder), job, steps, arguments.clients, keep_size=keep_size)
                seconds = asyncio.run(seconds_to_resume(Path(folder), job))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            row = f"| {steps:,} | {size / 1e6:,.0f} MB | {version} | {seconds:.2f} | {peak} MiB |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
