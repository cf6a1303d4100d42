"""The operator's HTTP server."""

import socket

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from cluster.testcluster.process import free_port
from pslgs_operator.http_server import application, listen, serve


async def page(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}{path}") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("live", "ready", "healthz", "readyz"),
    [
        pytest.param(None, None, (200, "ok\n"), (200, "ok\n"), id="well"),
        pytest.param(None, "not synced", (200, "ok\n"), (503, "not synced\n"), id="starting"),
        pytest.param("deaf", None, (503, "deaf\n"), (503, "deaf\n"), id="deaf"),
    ],
)
async def test_checks_answer_with_the_reason(live, ready, healthz, readyz):
    port = free_port()
    runner = await serve(application(CollectorRegistry(), lambda: live, lambda: ready), [port])
    assert await page(port, "/healthz") == healthz
    assert await page(port, "/readyz") == readyz
    await runner.cleanup()


async def test_metrics_are_served_on_both_ports():
    registry, ports = CollectorRegistry(), (free_port(), free_port())
    Gauge("seen", "Seen.", registry=registry).set(1)
    runner = await serve(application(registry, lambda: None, lambda: None), ports)
    for port in ports:
        assert "seen 1.0" in (await page(port, "/metrics"))[1]
    await runner.cleanup()


async def test_one_port_may_serve_both():
    port = free_port()
    runner = await serve(application(CollectorRegistry(), lambda: None, lambda: None), [port, port])
    assert (await page(port, "/healthz"))[0] == 200
    await runner.cleanup()


async def test_a_port_in_use_is_an_error():
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await serve(application(CollectorRegistry(), lambda: None, lambda: None), [port])


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_ipv4_and_ipv6_are_answered():
    port = free_port()
    runner = await serve(application(CollectorRegistry(), lambda: None, lambda: None), [port])
    assert (await page(port, "/healthz", "127.0.0.1"))[0] == 200
    assert (await page(port, "/healthz", "[::1]"))[0] == 200
    await runner.cleanup()


def test_a_machine_without_ipv6_listens_on_ipv4(monkeypatch):
    create = socket.create_server

    def refuse(address, **options):
        if options.get("family") == socket.AF_INET6:
            raise OSError("Cannot assign requested address")
        return create(address, **options)

    monkeypatch.setattr(socket, "create_server", refuse)
    with listen(0) as opened:
        assert opened.family == socket.AF_INET
