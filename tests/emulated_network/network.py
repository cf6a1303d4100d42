"""Network namespaces for a server and its clients, each client behind a link of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from emulated_network.relay import Conditions, Setting

SERVER: Final = "server"
SERVER_ADDRESS: Final = "10.99.0.1"
CUT: Final = Conditions(loss=1.0)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """The namespace ``server`` and one for each client; `close` removes them.

    The links have no limits until they are set.
    """

    def __init__(self, name: str, clients: Sequence[str], *, seed: int = 0, mtu: int = 1500) -> None:
        self.clients = tuple(clients)
        self._conditions = [Conditions() for _ in clients]
        self._names = {each: f"{name}-{each}" for each in (SERVER, *clients)}
        for namespace in self._names.values():
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        command = [sys.executable, "-m", "emulated_network.relay", str(len(clients)), "--seed", str(seed)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        self._relay = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for number, client in enumerate(clients):
            there, here = self._answer().split()
            address = f"10.99.{1 + number // 250}.{1 + number % 250}"
            self._connect(client, there, address, SERVER_ADDRESS, mtu)
            self._connect(SERVER, here, SERVER_ADDRESS, address, mtu)

    def _connect(self, end: str, device: str, own: str, peer: str, mtu: int) -> None:
        namespace = self._names[end]
        _ip("link", "set", device, "netns", namespace)
        _ip("-n", namespace, "address", "add", own, "peer", peer, "dev", device)
        _ip("-n", namespace, "link", "set", device, "mtu", str(mtu), "up")

    def close(self) -> None:
        """Remove the namespaces; their processes must have ended."""
        self._relay.communicate()
        for namespace in self._names.values():
            _ip("netns", "delete", namespace)

    def inside(self, end: str, command: Sequence[str]) -> list[str]:
        """Return a command that runs in the namespace of the server or of a client."""
        return ["ip", "netns", "exec", self._names[end], *command]

    def set(self, conditions: Conditions, *clients: str) -> None:
        """Set both directions of the links of ``clients``, of all if none is named."""
        for client in clients or self.clients:
            number = self.clients.index(client)
            self._conditions[number] = conditions
            _pipe(self._relay.stdin).write(f"{Setting(number, conditions).line()}\n")
            _pipe(self._relay.stdin).flush()
            self._answer()

    @contextmanager
    def under(self, conditions: Conditions, *clients: str) -> Iterator[None]:
        """Set links while the block runs."""
        before = dict(zip(self.clients, self._conditions, strict=True))
        self.set(conditions, *clients)
        try:
            yield
        finally:
            for client in clients or self.clients:
                self.set(before[client], client)

    def _answer(self) -> str:
        line = _pipe(self._relay.stdout).readline()
        if not line:
            raise RuntimeError(f"the relay of the links ended with exit code {self._relay.wait()}")
        return line


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "it was opened as a pipe"
    return stream


def missing() -> str:
    """Return what this machine lacks for emulated networks; empty if nothing."""
    if os.geteuid() != 0:
        return "root"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun"
    return "" if shutil.which("ip") else "ip"
