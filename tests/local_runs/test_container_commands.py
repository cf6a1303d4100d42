"""`pslgs server` and `pslgs client` with the options of a pod: exit codes and termination messages.

The processes are forked from one that has imported what they need, but for those of the first test.
"""

import json
import os
import signal
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local_runs import kill_points
from local_runs.runs import Process, committed, exit_code, fork, start, until, write_manifest
from pslgs.identity.authority import CertificateAuthority
from pslgs.spec import ExitCode

pytestmark = pytest.mark.slow
DAY = timedelta(days=1)
QUICK = {
    "epochs": 2,
    "data": {"train": {"format": "Custom", "entrypoint": "local_runs.kill_points:Vectors"}},
}
LONG = QUICK | {"epochs": 10_000}


class Pods:
    """A server and clients of one job with certificates; every process ends with the test."""

    def __init__(self, folder: Path, *, forked: bool = True, **spec: object) -> None:
        self.folder, self.run, self._forked = folder, folder / "run", forked
        self._job = write_manifest(folder, kill_points.manifest(**spec))
        self._authority = CertificateAuthority.create("job", datetime.now(UTC), DAY)
        self.processes: dict[str, Process] = {}

    def server(self, clients: int, port: int = 0) -> None:
        self._authority.issue_server(["localhost"], datetime.now(UTC), DAY).save(self.folder / "server-id")
        ports = ("--listen", f"localhost:{port}", "--http", "localhost:0")
        self._start("server", "--run", "run", "--clients", str(clients), *ports)

    @property
    def port(self) -> int:
        until((self.run / "endpoints.json").exists, "the server's start")
        return json.loads((self.run / "endpoints.json").read_text())["grpc"]

    def client(self, name: str, *options: str, **issue: str) -> None:
        identity = self._authority.issue_client(issue.get("certified", name), datetime.now(UTC), DAY)
        identity.save(self.folder / f"{name}-id")
        self._start(name, "--id", name, "--server", f"localhost:{self.port}", *options, command="client")

    def _start(self, name: str, *options: str, command: str = "server") -> None:
        arguments = [
            *(command, self._job, *options, "--identity", f"{name}-id", "--threads", "1"),
            *("--cache", str(self.folder / "cache"), "--termination-message", f"{name}-message"),
        ]
        self.processes[name] = (
            fork(*arguments, cwd=self.folder, log=self.folder / f"{name}.log")
            if self._forked
            else start(*arguments, cwd=self.folder)
        )

    def ended(self, name: str) -> tuple[int | None, dict]:
        """Wait for the end of a process, and return its exit code and termination message."""
        code = exit_code(self.processes[name])
        return code, json.loads((self.folder / f"{name}-message").read_text())

    def trains(self) -> bool:
        return committed(self.run) > 2


@pytest.fixture
def pods(tmp_path):
    made: list[Pods] = []

    def make(*, forked: bool = True, **spec: object) -> Pods:
        made.append(Pods(tmp_path, forked=forked, **spec))
        return made[-1]

    yield make
    for process in (process for each in made for process in each.processes.values()):
        process.kill()
        exit_code(process)


def test_all_processes_of_a_finished_job_report_its_end(pods):
    job = pods(**QUICK, forked=False, server={"gpus": 1})
    job.server(clients=2)
    job.client("edge-0")
    job.client("edge-1")
    code, message = job.ended("server")
    assert code == message["exitCode"] == ExitCode.FINISHED
    assert message["phase"] == "Finished"
    assert message["clients"] == {"live": 2, "lost": 0, "excluded": 0}
    assert message["step"] == message["steps"] > 0
    assert message["lastCheckpoint"]["step"] == message["step"]
    for name in ("edge-0", "edge-1"):
        assert job.ended(name) == (0, {"exitCode": 0, "message": message["message"]})
    assert (job.run / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_who_fails_the_handshake_writes_nothing_into_the_log_of_the_server(pods):
    job = pods(**LONG, forked=False)
    job.server(clients=1)
    for _ in range(3):
        with socket.create_connection(("localhost", job.port), timeout=20) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while stranger.recv(1024):
                pass
    server = job.processes["server"]
    os.kill(server.pid, signal.SIGTERM)
    log, _ = server.communicate(timeout=60)
    assert "peak memory" in log
    assert "handshake" not in log.lower()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stopped_server_reports_its_progress_and_its_client_exits(pods, number):
    job = pods(**LONG)
    job.server(clients=1)
    job.client("edge-0")
    until(job.trains, "a step")
    os.kill(job.processes["server"].pid, number)
    code, message = job.ended("server")
    assert code == message["exitCode"] == ExitCode.INTERRUPTED
    assert (message["phase"], message["message"]) == ("Interrupted", f"stopped by {number.name}")
    assert message["lastCheckpoint"]["step"] == message["step"] > 2
    assert job.ended("edge-0") == (75, {"exitCode": 75, "message": f"stopped by {number.name}"})


def test_a_client_with_stay_reconnects_to_the_resumed_server(pods):
    job = pods(**LONG)
    job.server(clients=1)
    job.client("edge-0", "--stay")
    until(job.trains, "a step")
    os.kill(job.processes["server"].pid, signal.SIGTERM)
    reached = job.ended("server")[1]["step"]
    job.server(clients=1, port=job.port)
    until(lambda: committed(job.run) > reached, "a step after the interruption")
    assert job.processes["edge-0"].is_alive()


def test_a_server_stopped_before_any_client_joined_reports_so(pods):
    job = pods(**LONG)
    job.server(clients=1)
    until((job.run / "endpoints.json").exists, "the server's start")
    os.kill(job.processes["server"].pid, signal.SIGTERM)
    code, message = job.ended("server")
    assert code == message["exitCode"] == ExitCode.INTERRUPTED
    assert (message["phase"], message["step"], message["clients"]) == (
        "Interrupted",
        0,
        {"live": 0, "lost": 0, "excluded": 0},
    )


def test_a_stopped_or_refused_client_reports_so(pods):
    # With the shape of samples in the manifest, a client need not wait for another to say the same.
    model = {"architecture": "local_runs.kill_points:network", "cutLayer": "0", "inputShape": [16]}
    job = pods(**LONG | {"model": model})
    job.server(clients=2)
    job.client("edge-0", certified="edge-1")
    code, message = job.ended("edge-0")
    assert code == message["exitCode"] == ExitCode.REFUSED
    assert "for edge-1 and not for edge-0" in message["message"]
    job.client("edge-2")
    until(lambda: "edge-2" in (job.run / "metrics.jsonl").read_text(), "the client's coming")
    os.kill(job.processes["edge-2"].pid, signal.SIGTERM)
    assert job.ended("edge-2") == (75, {"exitCode": 75, "message": "stopped by SIGTERM"})


def test_bad_data_are_reported_by_the_client_and_a_bad_model_by_the_server(pods):
    data = {"train": {"format": "NumPy", "path": "missing.npz"}}
    model = {"architecture": "local_runs.kill_points:network", "cutLayer": "nowhere", "inputShape": [16]}
    job = pods(**QUICK | {"data": data, "model": model})
    job.server(clients=1)
    job.client("edge-0", "--patience", "5")
    code, message = job.ended("edge-0")
    assert code == message["exitCode"] == ExitCode.BAD_INPUT
    assert message["message"].startswith("spec.data.train.path: ")
    code, message = job.ended("server")
    assert code == message["exitCode"] == ExitCode.BAD_INPUT
    assert message["message"].startswith("spec.model.cutLayer: ")
    assert message["phase"] == "Failed"
