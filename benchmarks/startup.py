"""What starting takes, beside a program that only imports torch and builds the network.

PYTHONPATH=tests python -m benchmarks.startup [--repeats 3]

Twice a small network: a client that joins a server which waits for it, over mutual TLS, and `pslgs run` with
16 clients on this machine.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import yaml
from benchmarks import jobs
from benchmarks.processes import run_module

from pslgs.identity.authority import CertificateAuthority
from pslgs.server.main import ENDPOINTS_FILE
from pslgs.telemetry.journal import FILE_NAME, read
from pslgs.telemetry.records import StepRecord

CLIENTS = 16
SAMPLES = 1600

IMPORT = """
import resource, time
began = time.perf_counter()
import torch
torch.zeros(1)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

BUILD = """
import sys
from pslgs.spec import load_job
from pslgs.training.setup import build_setup
build_setup(load_job(sys.argv[1]).spec, (64,))
"""


class Started(NamedTuple):
    """Seconds until torch is imported or the first step committed, and the process's peak memory in MiB."""

    seconds: float
    memory: float


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="each in turn")
    repeats = range(parser.parse_args().repeats)
    rounds = [(import_torch(), start_client(), build(), start_run()) for _ in repeats]
    imported, client, built, run = zip(*rounds, strict=True)
    print("| a client | seconds | memory, MiB |")
    print("|---|---|---|")
    print(_row("`import torch`", imported))
    print(_row("to its first step", client))
    beyond = median(one.seconds - other.seconds for one, other in zip(client, imported, strict=True))
    print(f"\nbeyond the import: {beyond:.1f} s\n")
    print(f"| {CLIENTS} clients on this machine | seconds |")
    print("|---|---|")
    print(f"| a process that imports torch and builds the network | {median(built):.1f} |")
    print(f"| `pslgs run` to its first step | {median(run):.1f} |")
    print(f"\nratio: {median(one / other for one, other in zip(run, built, strict=True)):.2f}")


def import_torch() -> Started:
    """Import torch in a new process."""
    command = [sys.executable, "-c", IMPORT]
    seconds, memory = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return Started(float(seconds), int(memory) / 1024)


def build() -> float:
    """Return the seconds of a process that builds the network."""
    with _job(CLIENTS) as job:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", BUILD, job], check=True)
        return time.perf_counter() - began


def start_run() -> float:
    """Return the seconds from the command to the first step."""
    with _job(CLIENTS) as job:
        began, run = time.time(), job.parent / "run"
        run_module("pslgs.cli", "run", str(job), "--output", str(run), "--set", "spec.epochs=1")
        return _first_step(run) - began


def start_client() -> Started:
    """Start a client whose server waits for it."""
    with _job(clients=1) as job:
        _issue(job.parent)
        shared = ["--cache", str(job.parent / "cache"), "--set", "spec.epochs=1", "--threads", "1"]
        run, ports = job.parent / "run", ["--listen", "localhost:0", "--http", "localhost:0"]
        identity = ["--identity", str(job.parent / "server")]
        with _command("server", job, "--run", run, "--clients", "1", *identity, *ports, *shared) as server:
            endpoints = run / ENDPOINTS_FILE
            while not endpoints.exists():
                if server.poll() is not None:
                    sys.exit(f"the server ended early\n\n{server.communicate()[0]}")
                time.sleep(0.05)
            port = yaml.safe_load(endpoints.read_text(encoding="utf-8"))["grpc"]
            began = time.time()
            identity = ["--identity", str(job.parent / "client-0")]
            where = ["--id", "client-0", "--share", "0", "--server", f"localhost:{port}"]
            with _command("client", job, *where, *identity, *shared) as client:
                log, _ = client.communicate()
            if client.returncode:
                server.kill()  # it would wait for another client
            served, _ = server.communicate()
        if client.returncode or server.returncode:
            sys.exit(f"the job failed\n\n{served}\n{log}")
        peak = re.findall(r"peak memory (\d+) MiB", log)
        return Started(_first_step(run) - began, int(peak[-1]))


def _row(name: str, measured: Sequence[Started]) -> str:
    seconds, memory = (median(values) for values in zip(*measured, strict=True))
    return f"| {name} | {seconds:.1f} | {memory:.0f} |"


def _command(name: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pslgs.cli", name, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def _job(clients: int) -> Iterator[Path]:
    """Write the manifest of a small network, and its data."""
    manifest = jobs.mlp(clients)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        manifest["spec"]["data"]["train"] = {"format": "NumPy", "path": f"{folder}/data.npz"}
        inputs, labels = rng.random((SAMPLES, 64), np.float32), rng.integers(0, 10, SAMPLES)
        np.savez(Path(folder, "data.npz"), x=inputs, y=labels)
        job = Path(folder, "job.yaml")
        job.write_text(yaml.safe_dump(manifest), encoding="utf-8")
        yield job


def _issue(folder: Path) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    authority = CertificateAuthority.create("job", now, day)
    authority.issue_server(["localhost"], now, day).save(folder / "server")
    authority.issue_client("client-0", now, day).save(folder / "client-0")


def _first_step(run: Path) -> float:
    return next(record.time for record in read(run / FILE_NAME) if isinstance(record, StepRecord))


if __name__ == "__main__":
    main()
