"""The WSGI application of a process, with the pages /metrics, /healthz, /readyz and /status."""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

METHODS = ("GET", "HEAD")


class Reportable(Protocol):
    """A status that /status can show: a server's `Status`, or that of a client."""

    @property
    def heartbeat(self) -> float:
        """Unix time in seconds at which the event loop last ran."""

    def to_json(self) -> Mapping[str, object]:
        """Return the JSON document of /status."""


class Page(NamedTuple):
    """A response; ``text`` ends with a line break."""

    status: HTTPStatus
    text: str
    content_type: str = "text/plain; charset=utf-8"


def pages(
    registry: CollectorRegistry,
    status: Callable[[], Reportable],
    ready: Callable[[], bool],
    now: Callable[[], float],
    heartbeat_bound: float,
) -> "WSGIApplication":
    """Make the application.

    Args:
        registry: What /metrics shows.
        status: What /status shows.
        ready: Whether /readyz says so.
        now: The clock, Unix time in seconds.
        heartbeat_bound: Seconds without a heartbeat after which /healthz fails.
    """
    metrics: WSGIApplication = make_wsgi_app(registry)
    routes: dict[str, Callable[[], Page]] = {
        "/healthz": lambda: _health(now() - status().heartbeat, heartbeat_bound),
        "/readyz": lambda: _readiness(ready=ready()),
        "/status": lambda: _status(status()),
    }

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in METHODS:
            refusal = Page(HTTPStatus.METHOD_NOT_ALLOWED, f"only {' and '.join(METHODS)} are allowed\n")
            return _respond(refusal, start_response, [("Allow", ", ".join(METHODS))])
        if path == "/metrics":
            return metrics(environ, start_response)
        unknown = f"there is no such page; try {', '.join(('/metrics', *routes))}\n"
        page = routes[path]() if path in routes else Page(HTTPStatus.NOT_FOUND, unknown)
        return _respond(page, start_response)

    return _answering_head(application)


def _answering_head(application: "WSGIApplication") -> "WSGIApplication":
    """Answer HEAD like GET, but without the body and with its length as Content-Length."""

    def wrapped(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "HEAD":
            return application(environ, start_response)
        answer: list[tuple[str, list[tuple[str, str]]]] = []

        def remember(
            line: str, headers: list[tuple[str, str]], _: object = None
        ) -> Callable[[bytes], object]:
            answer.append((line, headers))
            return lambda _: None

        body = b"".join(application({**environ, "REQUEST_METHOD": "GET"}, remember))
        for line, headers in answer:
            start_response(line, [*headers, ("Content-Length", str(len(body)))])
        return []

    return wrapped


def _respond(
    page: Page, start_response: "StartResponse", headers: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    line = f"{page.status.value} {page.status.phrase}"
    start_response(line, [("Content-Type", page.content_type), ("Cache-Control", "no-store"), *headers])
    return [page.text.encode()]


def _health(age: float, bound: float) -> Page:
    if age < bound:
        return Page(HTTPStatus.OK, "ok\n")
    problem = f"the last heartbeat is {age:.0f} s old, more than the {bound:g} s allowed\n"
    return Page(HTTPStatus.SERVICE_UNAVAILABLE, problem)


def _readiness(*, ready: bool) -> Page:
    return Page(HTTPStatus.OK, "ready\n") if ready else Page(HTTPStatus.SERVICE_UNAVAILABLE, "not ready\n")


def _status(status: Reportable) -> Page:
    text = json.dumps(status.to_json(), allow_nan=False, indent=2) + "\n"
    return Page(HTTPStatus.OK, text, "application/json")
