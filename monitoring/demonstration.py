"""A real job on this machine, watched by a real Prometheus as if it ran in a cluster.

The server and the clients are the processes of the containers.  The operator is its metrics module only.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from monitoring.prometheus import Prometheus, prometheus
from monitoring.scraping import Pod, scrape_config
from monitoring.standin import operator_stand_in
from pslgs.cli.main import main
from pslgs.data.slow_modules import slow_modules
from pslgs.launch.local_run import free_port
from pslgs.launch.processes import Child, start_fork_server
from pslgs.spec import parse_job
from pslgs_operator import names
from pslgs_operator.endpoint import Endpoint
from pslgs_operator.manifests.client import client_job
from pslgs_operator.manifests.server import server_job
from pslgs_operator.manifests.supporting import pod_monitor
from pslgs_operator.placement import Placement
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

NAMESPACE: Final = "research"
CLIENTS: Final = 3
_GRACE_SECONDS: Final = 20
SPEC: Final[dict[str, Any]] = {
    "model": {
        "architecture": "mlp",
        "options": {"inputs": 64, "hidden": [128, 64], "outputs": 10},
        "cutLayer": "hidden1",
    },
    "data": {
        "train": {"format": "ScikitLearn", "name": "digits", "split": "Train"},
        "evaluation": {"at": "Clients", "format": "ScikitLearn", "name": "digits", "split": "Test"},
        "partition": {
            "scheme": "ExtendedDirichlet",
            "clients": CLIENTS,
            "classesPerClient": 4,
            "concentration": 3,
        },
    },
    "epochs": 100_000,
    "optimizer": {"name": "SGD", "learningRate": 0.01},
    "evaluateEveryEpochs": 20,
    "checkpoint": {"everySteps": 1000},
    "transport": {"tls": "Disabled"},
    "clients": {"nodeSelector": {"pslgs.dev/edge": "true"}},
}
MANIFEST: Final[dict[str, Any]] = {
    "apiVersion": f"{names.GROUP}/{names.VERSION}",
    "kind": "SplitTrainingJob",
    "metadata": {"name": "digits", "namespace": NAMESPACE},
    "spec": SPEC,
}
CHOICE: Final = {
    "namespace": NAMESPACE,
    "job": "digits",
    "client": ".*",
    "operator": ".*",
    "__rate_interval": "10s",
    "__interval": "2s",
    "__range": "5m",
}
"""What somebody who looks at the job chooses above the panels."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """The job under way.

    Attributes:
        run: Its server's folder.
        prometheus: What watches it.
    """

    run: Path
    prometheus: Prometheus
    _clients: Sequence[Child]

    def start(self, number: int) -> None:
        """Start a client; it may have been there before."""
        self._clients[number].start()

    async def stop(self, number: int) -> None:
        """Lose a client."""
        await self._clients[number].stop(_GRACE_SECONDS)


@asynccontextmanager
async def demonstration(folder: Path, rules: Path) -> AsyncIterator[Demonstration]:
    """Run a job whose files are in ``folder``."""
    grpc, *http = (free_port() for _ in range(2 + CLIENTS))
    (folder / "job.yaml").write_text(yaml.safe_dump(MANIFEST), encoding="utf-8")
    start_fork_server(main, *slow_modules(parse_job(MANIFEST).spec))
    server, clients = _processes(folder, grpc, http)
    async with operator_stand_in(MANIFEST) as port:
        configs = [_of_job(http), _of_operator(port)]
        async with prometheus(folder, configs, rules) as watching:
            try:
                for process in (server, *clients):
                    process.start()
                yield Demonstration(folder / "run", watching, clients)
            finally:
                for process in (*clients, server):
                    await process.stop(_GRACE_SECONDS)


def _processes(folder: Path, grpc: int, http: Sequence[int]) -> tuple[Child, list[Child]]:
    def child(role: str, name: str, port: int, *options: str) -> Child:
        shared = ("--http", f"127.0.0.1:{port}", "--cache", str(folder / "cache"))
        return Child(main, [role, str(folder / "job.yaml"), *options, *shared], folder / f"{name}.log", 1)

    address = f"127.0.0.1:{grpc}"
    waits = ("--run", str(folder / "run"), "--clients", str(CLIENTS), "--listen", address)
    return child("server", "server", http[0], *waits), [
        child(
            *("client", f"edge-{number}-0", http[number + 1]),
            *("--id", f"edge-{number}-0", "--share", str(number), "--server", address),
        )
        for number in range(CLIENTS)
    ]


def _of_job(ports: Sequence[int]) -> dict[str, Any]:
    settings = Settings(pod_monitors=True)
    body = {**MANIFEST, "metadata": {**MANIFEST["metadata"], "uid": "0", "generation": 1}}
    job = TrainingJob.parse(body)
    server = Pod("digits-server-x", server_job(job, CLIENTS, settings), f"127.0.0.1:{ports[0]}")
    pods = [server]
    for number in range(CLIENTS):
        placed = Placement(f"edge-{number}-0", f"edge-{number}", number)
        child = client_job(job, placed, Endpoint("digits-server", names.GRPC_PORT), settings)
        pods.append(Pod(f"{child['metadata']['name']}-x", child, f"127.0.0.1:{ports[number + 1]}"))
    return scrape_config(pod_monitor(job, settings), pods)


def _of_operator(port: int) -> dict[str, Any]:
    labels = {"namespace": "pslgs-system", "pod": "pslgs-operator-x", "service": "pslgs-operator"}
    target = {"targets": [f"127.0.0.1:{port}"], "labels": labels}
    return {"job_name": "pslgs-operator", "static_configs": [target]}
