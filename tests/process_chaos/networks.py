"""Two network namespaces with a cable between them: one for a server, one for its clients."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

SERVER_ADDRESS: Final = "10.99.0.1"
_CLIENT_ADDRESS: Final = "10.99.0.2"


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class Network:
    """The namespaces ``server`` and ``clients``, which `close` removes."""

    def __init__(self, name: str) -> None:
        self._names = {end: f"{name}-{end}" for end in ("server", "clients")}
        for namespace in self._names.values():
            _run("ip", "netns", "add", namespace)
        one, other = self._names.values()
        pair = ("cable", "netns", one, "type", "veth", "peer", "name", "cable", "netns", other)
        _run("ip", "link", "add", *pair)
        for namespace, address in zip(self._names.values(), (SERVER_ADDRESS, _CLIENT_ADDRESS), strict=True):
            _run("ip", "-n", namespace, "address", "add", f"{address}/30", "dev", "cable")
            for device in ("lo", "cable"):
                _run("ip", "-n", namespace, "link", "set", device, "up")

    def close(self) -> None:
        """Remove the namespaces; their processes must have ended."""
        for namespace in self._names.values():
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)

    def inside(self, end: str, command: Sequence[str]) -> list[str]:
        """Return a command that runs in one of the namespaces."""
        return ["ip", "netns", "exec", self._names[end], *command]

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Unplug the cable while the block runs."""
        _run("ip", "-n", self._names["clients"], "link", "set", "cable", "down")
        try:
            yield
        finally:
            _run("ip", "-n", self._names["clients"], "link", "set", "cable", "up")

    @contextmanager
    def lossy(self, share: float) -> Iterator[None]:
        """Lose a share of the packets to the clients while the block runs."""
        rule = ("INPUT", "-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
        _run(*self.inside("clients", ["iptables", "-A", *rule]))
        try:
            yield
        finally:
            _run(*self.inside("clients", ["iptables", "-D", *rule]))

    @contextmanager
    def shaped(self, *discipline: str) -> Iterator[None]:
        """Let a queueing discipline of ``tc`` act on what the server sends while the block runs."""
        device = ("dev", "cable", "root")
        _run("tc", "-n", self._names["server"], "qdisc", "add", *device, *discipline)
        try:
            yield
        finally:
            _run("tc", "-n", self._names["server"], "qdisc", "del", *device)

    def can_delay(self) -> bool:
        """Return whether this kernel can delay packets."""
        try:
            with self.shaped("netem", "delay", "1ms"):
                return True
        except subprocess.CalledProcessError:
            return False


def missing() -> str:
    """Return what this machine lacks for networks of a test's own; empty if nothing."""
    if os.geteuid() != 0:
        return "root"
    return ", ".join(name for name in ("ip", "tc", "iptables") if shutil.which(name) is None)
