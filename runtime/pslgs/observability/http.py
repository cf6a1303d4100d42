"""The HTTP server of a process; it runs in threads, so that it answers even if the event loop is blocked."""

import logging
import socket
from collections.abc import Callable
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry

from pslgs.observability.pages import Reportable, pages

HEARTBEAT_BOUND_SECONDS = 60.0
IDLE_CONNECTION_SECONDS = 10.0
SHUTDOWN_POLL_SECONDS = 0.1
_logger = logging.getLogger(__name__)


class HttpServer:
    """Serves /metrics, /healthz, /readyz and /status."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the pages show comes from four places
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        status: Callable[[], Reportable],
        ready: Callable[[], bool],
        now: Callable[[], float],
        *,
        heartbeat_bound: float = HEARTBEAT_BOUND_SECONDS,
    ) -> None:
        """Create a server that does not listen yet.

        Args:
            host: The address to listen on, IPv4 or IPv6.
            port: The port; 0 picks a free one.
            registry: What /metrics shows.
            status: What /status shows; called from other threads.
            ready: Whether /readyz says so; called from other threads.
            now: The clock, Unix time in seconds.
            heartbeat_bound: Seconds without a heartbeat after which /healthz fails.
        """
        self._host = host
        self._port = port
        self._pages = pages(registry, status, ready, now, heartbeat_bound)
        self._running: tuple[_Server, Thread] | None = None

    def start(self) -> int:
        """Start to listen, and return the port.

        Raises:
            OSError: the address cannot be used, for example because the port is in use.
        """
        try:
            server = _listener(self._host, self._port)
        except OSError as error:
            reason = (
                f"cannot listen on port {self._port} of {self._host} ({error.strerror}); choose another port"
            )
            raise OSError(error.errno, reason) from error
        server.set_app(self._pages)
        thread = Thread(target=server.serve_forever, args=(SHUTDOWN_POLL_SECONDS,), name="http", daemon=True)
        thread.start()
        self._running = (server, thread)
        return server.server_port

    def stop(self) -> None:
        """Stop to listen; has no effect if the server is not started."""
        if self._running is not None:
            server, thread = self._running
            self._running = None
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without looking up the host's full name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log a connection that ended early or timed out at debug level, because the peer caused it."""
        _logger.debug("connection %s of %s failed", request, client_address, exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = IDLE_CONNECTION_SECONDS

    def log_message(self, *_: object) -> None:
        """Do not log requests, most of which are probes and scrapes."""


def _listener(host: str, port: int) -> _Server:
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - "::" asked for all addresses
    return (_Server6 if ":" in host else _Server)((host, port), _Handler)
