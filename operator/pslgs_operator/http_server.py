"""The operator's HTTP server: ``/metrics``, ``/healthz`` and ``/readyz``, over IPv4 and IPv6."""

import socket
from collections.abc import Callable, Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Check = Callable[[], str | None]
"""Returns what is wrong, in one sentence; None if nothing is."""


def application(registry: CollectorRegistry, live: Check, ready: Check) -> web.Application:
    """Make the pages; a check that finds something wrong answers 503 with its sentence."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return _answer(live())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(live() or ready())

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


def _answer(problem: str | None) -> web.Response:
    return web.Response(status=200 if problem is None else 503, text=f"{problem or 'ok'}\n")


async def serve(app: web.Application, ports: Iterable[int]) -> web.AppRunner:
    """Answer on all addresses of the machine at each of the ports, until the result is cleaned up.

    Raises:
        OSError: a port is in use.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        for port in sorted(set(ports)):
            await web.SockSite(runner, listen(port)).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


def listen(port: int) -> socket.socket:
    """Listen on all IPv6 and IPv4 addresses, or on IPv4 only where the machine has no IPv6.

    Raises:
        OSError: the port is in use.
    """
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError:
            pass  # IPv6 is switched off; if the port is in use instead, the next line says so
    return socket.create_server(("0.0.0.0", port))  # noqa: S104 - the kubelet and Prometheus come from outside
