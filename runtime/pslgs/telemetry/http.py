"""The HTTP port of a process: /metrics, /healthz, /readyz and /status."""

import json
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


HEARTBEAT_BOUND_SECONDS = 60.0
"""Default of the maximum age of a heartbeat, beyond which /healthz fails."""

IDLE_CONNECTION_SECONDS = 10.0
"""Maximum time for which a connection may be idle."""

METHODS = ("GET", "HEAD")
_SHUTDOWN_POLL_SECONDS = 0.1
_logger = logging.getLogger(__name__)


class Reportable(Protocol):
    """A status that /status can show: a server's `Status`, or that of a client."""

    @property
    def heartbeat(self) -> float:
        """Unix time in seconds at which the event loop last ran."""

    def to_json(self) -> Mapping[str, object]:
        """Return the JSON document of /status."""


class HttpPage(NamedTuple):
    """A response; ``text`` ends with a line break."""

    status: HTTPStatus
    text: str
    content_type: str = "text/plain; charset=utf-8"


class HttpServer:
    """Serves /metrics, /healthz, /readyz and /status."""

    def __init__(  # noqa: PLR0913, PLR0917 - the pages have four sources
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
            ready: Whether the process is ready, for /readyz; called from other threads.
            now: The clock, Unix time in seconds.
            heartbeat_bound: Seconds without a heartbeat after which /healthz fails.
        """
        self._host = host
        self._port = port
        self._application = make_application(registry, status, ready, now, heartbeat_bound)
        self._running: tuple[_Server, Thread] | None = None

    def start(self) -> int:
        """Start to listen, and return the port.

        Raises:
            OSError: the address cannot be used, for example because the port is in use.
        """
        try:
            server = _make_server(self._host, self._port)
        except OSError as error:
            reason = (
                f"cannot listen on port {self._port} of {self._host} ({error.strerror}); choose another port"
            )
            raise OSError(error.errno, reason) from error
        server.set_app(self._application)
        thread = Thread(target=server.serve_forever, args=(_SHUTDOWN_POLL_SECONDS,), name="http", daemon=True)
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


def make_application(
    registry: CollectorRegistry,
    status: Callable[[], Reportable],
    ready: Callable[[], bool],
    now: Callable[[], float],
    heartbeat_bound: float,
) -> "WSGIApplication":
    """Make the WSGI application that serves the pages.

    Args:
        registry: What /metrics shows.
        status: What /status shows.
        ready: Whether the process is ready, for /readyz.
        now: The clock, Unix time in seconds.
        heartbeat_bound: Seconds without a heartbeat after which /healthz fails.
    """
    metrics: WSGIApplication = make_wsgi_app(registry)
    routes: dict[str, Callable[[], HttpPage]] = {
        "/healthz": lambda: _health_page(now() - status().heartbeat, heartbeat_bound),
        "/readyz": lambda: _readiness_page(ready=ready()),
        "/status": lambda: _status_page(status()),
    }

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in METHODS:
            refusal = HttpPage(HTTPStatus.METHOD_NOT_ALLOWED, f"only {' and '.join(METHODS)} are allowed\n")
            return _respond(refusal, start_response, [("Allow", ", ".join(METHODS))])
        if path == "/metrics":
            return metrics(environ, start_response)
        unknown = f"there is no such page; try {', '.join(('/metrics', *routes))}\n"
        page = routes[path]() if path in routes else HttpPage(HTTPStatus.NOT_FOUND, unknown)
        return _respond(page, start_response)

    return _with_head(application)


def _with_head(application: "WSGIApplication") -> "WSGIApplication":
    """Answer HEAD like GET, but without the body and with its length as Content-Length."""

    def wrapped(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "HEAD":
            return application(environ, start_response)
        responses: list[tuple[str, list[tuple[str, str]]]] = []

        def record(line: str, headers: list[tuple[str, str]], _: object = None) -> Callable[[bytes], object]:
            responses.append((line, headers))
            return lambda _: None

        body = b"".join(application({**environ, "REQUEST_METHOD": "GET"}, record))
        for line, headers in responses:
            start_response(line, [*headers, ("Content-Length", str(len(body)))])
        return []

    return wrapped


def _respond(
    page: HttpPage, start_response: "StartResponse", headers: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    line = f"{page.status.value} {page.status.phrase}"
    start_response(line, [("Content-Type", page.content_type), ("Cache-Control", "no-store"), *headers])
    return [page.text.encode()]


def _health_page(age: float, bound: float) -> HttpPage:
    if age < bound:
        return HttpPage(HTTPStatus.OK, "ok\n")
    problem = f"the last heartbeat is {age:.0f} s old, more than the {bound:g} s allowed\n"
    return HttpPage(HTTPStatus.SERVICE_UNAVAILABLE, problem)


def _readiness_page(*, ready: bool) -> HttpPage:
    return (
        HttpPage(HTTPStatus.OK, "ready\n")
        if ready
        else HttpPage(HTTPStatus.SERVICE_UNAVAILABLE, "not ready\n")
    )


def _status_page(status: Reportable) -> HttpPage:
    text = json.dumps(status.to_json(), allow_nan=False, indent=2) + "\n"
    return HttpPage(HTTPStatus.OK, text, "application/json")


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


class _RequestHandler(WSGIRequestHandler):
    timeout = IDLE_CONNECTION_SECONDS

    def log_message(self, *_: object) -> None:
        """Do not log requests, most of which are probes and scrapes."""


def _make_server(host: str, port: int) -> _Server:
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - "::" asked for all addresses
    return (_Server6 if ":" in host else _Server)((host, port), _RequestHandler)
