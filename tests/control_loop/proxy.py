"""A TCP proxy before the API server whose open connections can fall silent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml


@dataclass(slots=True, eq=False)
class SilentProxy:
    """Forwards bytes in both directions, in two threads for each connection."""

    target: tuple[str, int]
    listener: socket.socket
    kubeconfig: Path
    _open: list[socket.socket] = field(default_factory=list)
    _silent: set[int] = field(default_factory=set)

    def silence(self) -> None:
        """Forward nothing more on connections that are open now; new ones work."""
        self._silent.update(id(each) for each in self._open)

    def accept(self) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        """Close all connections."""
        self.listener.close()
        for each in self._open:
            each.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while received := source.recv(65536):
                if id(source) not in self._silent:
                    sink.sendall(received)
        if id(source) not in self._silent:
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)


@contextmanager
def silent_proxy(kubeconfig: Path, folder: Path) -> Iterator[SilentProxy]:
    """Run a proxy, and write a kubeconfig that goes through it."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    url = urlsplit(cluster["server"])
    listener = socket.create_server(("127.0.0.1", 0))
    cluster["server"] = f"https://127.0.0.1:{listener.getsockname()[1]}"
    path = folder / "proxied.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    proxy = SilentProxy((str(url.hostname), int(url.port or 443)), listener, path)
    threading.Thread(target=proxy.accept, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.close()
