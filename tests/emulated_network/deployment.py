"""A server and clients as processes in the namespaces of an emulated network."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from emulated_network.network import SERVER, SERVER_ADDRESS, Network
from pslgs.identity.authority import CertificateAuthority

_TESTS: Final = Path(__file__).parents[1]
_PORT: Final = 7443
_DAY: Final = timedelta(days=1)


class Deployment:
    """The processes of a job, with a partition among the clients of the network; `stop` ends them.

    Attributes:
        run: The run folder of the server.
        processes: Client, or "server" -> its process.
    """

    def __init__(self, folder: Path, network: Network, manifest: Mapping[str, Any]) -> None:
        self.run = folder / "run"
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self._folder, self._network = folder, network
        self._authority = CertificateAuthority.create("job", datetime.now(UTC), _DAY)
        (folder / "job.yaml").write_text(yaml.safe_dump(dict(manifest)), encoding="utf-8")

    def start(self) -> None:
        """Start the server and all clients."""
        now, clients = datetime.now(UTC), self._network.clients
        self._authority.issue_server([SERVER_ADDRESS], now, _DAY).save(self._folder / f"{SERVER}-id")
        ports = ("--listen", f"{SERVER_ADDRESS}:{_PORT}", "--http", f"{SERVER_ADDRESS}:8080")
        self._start(SERVER, "server", "--run", "run", "--clients", str(len(clients)), *ports)
        for number, name in enumerate(clients):
            self._authority.issue_client(name, now, _DAY).save(self._folder / f"{name}-id")
            server = ("--server", f"{SERVER_ADDRESS}:{_PORT}", "--share", str(number))
            self._start(name, "client", "--id", name, *server)

    def _start(self, name: str, command: str, *options: str) -> None:
        settings = ("--identity", f"{name}-id", "--threads", "1", "--cache", "cache")
        words = [sys.executable, "-m", "pslgs.cli", command, "job.yaml", *options, *settings]
        with (self._folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(
                self._network.inside(name, words),
                cwd=self._folder,
                env=os.environ | {"PYTHONPATH": f"{_TESTS}{os.pathsep}{_TESTS.parent}"},
                stdout=log,
                stderr=log,
                text=True,
            )

    def has_ended(self) -> bool:
        """Return whether the server has ended."""
        return self.processes[SERVER].poll() is not None

    def exit_codes(self, seconds: float) -> dict[str, int]:
        """Return name -> exit code; all processes must end within ``seconds``."""
        return {name: process.wait(seconds) for name, process in self.processes.items()}

    def logs(self) -> str:
        """Return the ends of all logs."""
        logs = sorted(self._folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(encoding='utf-8')[-1500:]}" for log in logs)

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self.processes.values():
            process.kill()
            process.wait()
