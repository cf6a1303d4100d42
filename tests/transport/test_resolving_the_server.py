"""A client resolves the name of its server for each attempt to connect."""

import asyncio

import pytest

from transport.loopback import DEADLINE, connecting, serving
from transport.name_server import NameServer, naming

pytestmark = pytest.mark.timeout(60)
MOVED_WITHIN_SECONDS = 10.0


def named(names: NameServer, port: int) -> str:
    return f"dns://127.0.0.1:{names.port}/pslgs-server.example.:{port}"


async def asked(names: NameServer, times: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while names.questions < times:
            await asyncio.sleep(0.01)


async def test_a_name_is_resolved_again_until_it_exists():
    async with naming() as names, serving() as served:

        async def appear() -> None:
            await asked(names, 3)
            names.address = "127.0.0.1"

        appearing = asyncio.create_task(appear())
        async with connecting(named(names, served.port), timeout_seconds=DEADLINE):
            await served.session()
        await appearing


async def test_a_server_that_moved_to_another_address_is_found_within_seconds():
    async with naming() as names:
        async with serving() as first:
            names.address = "127.0.0.1"
            address = named(names, first.port)
            async with connecting(address):
                await first.session()
        async with serving(address=f"127.0.0.2:{first.port}") as second:
            names.address = "127.0.0.2"
            async with asyncio.timeout(MOVED_WITHIN_SECONDS), connecting(address):
                await second.session()
