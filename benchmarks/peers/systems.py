"""How each system is started to train what `job.yaml` says, as its documentation says."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.observed import Marked
from benchmarks.wire import make_identities

CLIENTS = 4
VICTIM = 1
"""The client that is killed."""
HERE = Path(__file__).parent


@dataclass
class Run:
    """A run of a system.

    Attributes:
        folder: Where it may write.
        bin: Where the commands of the peers are.
        marked: Its processes.
        started: Those that were started here; the run has ended when the last of them has.
    """

    folder: Path
    bin: Path
    marked: Marked = field(default_factory=Marked)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.started[-1].poll() is not None

    def environ(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of all processes; what peers would write at home goes to the folder."""
        return {
            **os.environ,
            **self.marked.environ,
            "HOME": str(self.folder),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(HERE.parent.parent),
            "PEERS_LOG": str(self.folder / "steps.jsonl"),
            **extra,
        }

    def start(self, *command: str | Path, cwd: Path | None = None, extra: Mapping[str, str] = {}) -> None:
        """Start a process."""
        words = [str(word) for word in command]
        with (self.folder / f"{len(self.started)}.log").open("wb") as log:
            self.started.append(
                subprocess.Popen(
                    words,
                    cwd=cwd or self.folder,
                    env=self.environ(extra),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )

    def containing(self, word: str) -> list[int]:
        """Return the processes whose command line contains a word."""
        return [process for process, command in self.marked.commands().items() if word in command]


@dataclass(frozen=True)
class System:
    """A system and a way to run it.

    Attributes:
        name: Name for people.
        tls: Who shows a certificate.
        log: File below the folder of the run with records of steps and evaluations.
        start: Starts a run of so many epochs.
        victims: Finds the processes of one client.
        limit: Number of steps after which a measurement has seen enough.
        programs: Files that a user writes.
    """

    name: str
    tls: str
    log: str
    start: Callable[[Run, int], None]
    victims: Callable[[Run], list[int]]
    limit: int
    programs: tuple[str, ...]


def _start_ours(run: Run, epochs: int) -> None:
    job = HERE / "job.yaml"
    output = run.folder / "run"
    run.start(
        *(sys.executable, "-m", "pslgs.cli", "run", job, "--set", f"spec.epochs={epochs}", "--output", output)
    )


def _our_client(run: Run) -> list[int]:
    log = (run.folder / "run" / "logs" / f"client-{VICTIM}.log").read_text(encoding="utf-8")
    return [int(re.findall(r" (\d+) INFO ", log)[-1])]


def _start_simulated_nvflare(run: Run, epochs: int) -> None:
    workspace = str(run.folder / "simulation")
    command = ("python", "split_learning.py", "SimEnv", str(epochs))
    run.start(*command, cwd=HERE / "nvflare_job", extra={"NVFLARE_SIMULATOR_WORKSPACE_ROOT": workspace})


def _start_deployed_nvflare(run: Run, epochs: int) -> None:
    workspace = str(run.folder / "poc")
    command = ("python", "split_learning.py", "PocEnv", str(epochs))
    run.start(*command, cwd=HERE / "nvflare_job", extra={"NVFLARE_POC_WORKSPACE": workspace})


def _start_simulated_flower(run: Run, epochs: int) -> None:
    port = _prepare_flower(run, "insecure = true")
    run.start("flower-superlink", "--insecure", "--simulation", *_superlink(port), extra=FLOWER)
    _wait_for(port)
    resources = ("--num-supernodes", str(CLIENTS), "--client-resources-num-cpus", "1")
    command = ("flwr", "federation", "simulation-config", "@none/default", "bench", *resources)
    # An actor for each client: without this, as many as there are cores.
    run.start(*command, "--init-args-num-cpus", str(CLIENTS), extra=FLOWER)
    run.started[-1].wait()
    _run_flower(run, epochs)


def _start_deployed_flower(run: Run, epochs: int) -> None:
    authority, certificate, key = (run.folder / name for name in ("ca.crt", "tls.crt", "tls.key"))
    make_identities()[0].save(run.folder)
    port = _prepare_flower(run, f'root-certificates = "{authority}"')
    tls = ("--ssl-ca-certfile", authority, "--ssl-certfile", certificate, "--ssl-keyfile", key)
    run.start("flower-superlink", *tls, *_superlink(port), extra=FLOWER)
    _wait_for(port)
    for client in range(CLIENTS):
        config = ("--node-config", f"partition-id={client} num-partitions={CLIENTS}")
        to_server = ("--root-certificates", authority, "--superlink", f"127.0.0.1:{port}")
        run.start("flower-supernode", *to_server, "--port", str(_free_port()), *config, extra=FLOWER)
    _run_flower(run, epochs)


FLOWER = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
}
"""Nothing outside of this machine is asked, and tasks are asked for as often as Flower permits."""


def _prepare_flower(run: Run, connection: str) -> int:
    port = _free_port()
    (run.folder / ".flwr").mkdir()
    (run.folder / ".flwr" / "config.toml").write_text(
        f'[superlink]\ndefault = "bench"\n\n[superlink.bench]\naddress = "127.0.0.1:{port}"\n{connection}\n',
        encoding="utf-8",
    )
    return port


def _superlink(port: int) -> tuple[str, ...]:
    return ("--disable-runtime-dependency-installation", "--host", "127.0.0.1", "--port", str(port))


def _run_flower(run: Run, epochs: int) -> None:
    run.start(
        *("flwr", "run", HERE / "flower_app", "bench", "--stream", "-c", f"epochs={epochs}"), extra=FLOWER
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


_FLOWER_FILES = ("flower_app/pyproject.toml", "flower_app/split_learning.py", "workload.py")
_NVFLARE_FILES = ("nvflare_job/split_learning.py", "workload.py")
_SITE = f"site-{VICTIM + 1}"

SYSTEMS = {
    "ours": System("ours", "mutual", "run/metrics.jsonl", _start_ours, _our_client, 10_000, ("job.yaml",)),
    "nvflare-simulated": System(
        *("NVFlare, simulator", "none", "steps.jsonl", _start_simulated_nvflare),
        *(lambda run: run.containing(f"--client {_SITE} "), 10_000, _NVFLARE_FILES),
    ),
    "nvflare-deployed": System(
        *("NVFlare, POC", "mutual", "steps.jsonl", _start_deployed_nvflare),
        *(lambda run: run.containing(f"/{_SITE}"), 10_000, _NVFLARE_FILES),
    ),
    "flower-simulated": System(
        *("Flower, simulation", "none", "steps.jsonl", _start_simulated_flower),
        *(lambda run: run.containing("ray::ClientAppActor")[:1], 10_000, _FLOWER_FILES),
    ),
    "flower-deployed": System(
        *("Flower, deployment", "server", "steps.jsonl", _start_deployed_flower),
        *(lambda run: run.containing(f"partition-id={VICTIM} "), 8, _FLOWER_FILES),
    ),
}
