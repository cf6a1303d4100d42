import asyncio
import json
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from pslgs_operator.api import server_status
from pslgs_operator.api.server_status import ServerStatusClient

GOOD = {"phase": "Training", "step": 7, "clients": {"live": ["edge-0-0"], "lost": []}}


def saying(content, status=200):
    """Answer with JSON, or with bytes."""

    async def answer(_):
        if isinstance(content, bytes):
            return web.Response(body=content, status=status)
        return web.json_response(content, status=status)

    return answer


@asynccontextmanager
async def pages_of(answer, host="127.0.0.1"):
    """Serve a status page on the loopback."""
    app = web.Application()
    app.router.add_get("/status", answer)
    app.router.add_get("/elsewhere", saying(GOOD))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    address = runner.addresses[0]
    pages = ServerStatusClient.open(port=address[1])
    try:
        yield pages
    finally:
        await pages.close()
        await runner.cleanup()


async def test_a_server_tells_its_status():
    async with pages_of(saying(GOOD)) as pages:
        report = await pages.report("127.0.0.1")
    assert report is not None
    assert (report.phase, report.step, report.live) == ("Training", 7, ("edge-0-0",))


async def redirect(_):
    raise web.HTTPFound("/elsewhere")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(saying(GOOD, status=503), id="not ready"),
        pytest.param(saying(b"hello"), id="no JSON"),
        pytest.param(saying(b"\xff\xfe"), id="no text"),
        pytest.param(saying([]), id="no object"),
        pytest.param(saying(b"[" * 100_000), id="deep"),
        pytest.param(saying(json.dumps(GOOD).encode() + b" " * (2 << 20)), id="huge"),
        pytest.param(redirect, id="redirect"),
    ],
)
async def test_what_is_no_status_is_no_answer(answer):
    async with pages_of(answer) as pages:
        assert await pages.report("127.0.0.1") is None


async def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(server_status, "_TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    ended = asyncio.Event()

    async def never(_):
        await ended.wait()
        return web.Response()

    async with pages_of(never) as pages:
        assert await pages.report("127.0.0.1") is None
        ended.set()


async def test_a_pod_that_listens_nowhere_is_no_answer():
    async with pages_of(redirect) as pages:
        assert await pages.report("127.0.0.2") is None


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_an_address_may_be_an_ipv6_one():
    async with pages_of(saying(GOOD), "::1") as pages:
        report = await pages.report("::1")
    assert report is not None
    assert report.step == GOOD["step"]
