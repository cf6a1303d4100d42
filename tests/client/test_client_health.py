"""A client's health endpoints report the state of its event loop and of its connection."""

import asyncio
import io

from prometheus_client import CollectorRegistry

from pslgs.client.health import ClientHealth
from pslgs.telemetry.http import HEARTBEAT_BOUND_SECONDS, make_application
from server.fakes import ManualClock, settle


def statuses(health: ClientHealth, clock: ManualClock) -> dict[str, str]:
    """Return the HTTP status of each health endpoint, requested outside the event loop as by a probe."""
    application = make_application(
        CollectorRegistry(), health.status, lambda: health.connected, clock, HEARTBEAT_BOUND_SECONDS
    )
    answers: dict[str, str] = {}
    for path in ("/healthz", "/readyz"):
        environ = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO()}
        application(environ, lambda status, _headers, path=path: answers.update({path: status[:3]}))
    return answers


async def test_a_client_is_healthy_while_its_event_loop_runs():
    clock = ManualClock()
    health = ClientHealth("a", clock)
    beating = asyncio.create_task(health.run_heartbeat(0.0))
    for _ in range(3):
        clock.now += 2 * HEARTBEAT_BOUND_SECONDS
        await settle()
        assert statuses(health, clock)["/healthz"] == "200"
    beating.cancel()


async def test_a_client_with_a_blocked_event_loop_is_unhealthy():
    clock = ManualClock()
    health = ClientHealth("a", clock)
    beating = asyncio.create_task(health.run_heartbeat(0.0))
    await settle()
    clock.now += HEARTBEAT_BOUND_SECONDS  # while nothing in the event loop runs
    assert statuses(health, clock)["/healthz"] == "503"
    beating.cancel()


async def test_a_client_is_ready_while_it_is_connected():
    health = ClientHealth("a", ManualClock())
    assert statuses(health, ManualClock())["/readyz"] == "503"
    health.connected = True
    assert statuses(health, ManualClock())["/readyz"] == "200"
    assert health.status().to_json() == {"client": "a", "heartbeat": 0.0, "connected": True}
