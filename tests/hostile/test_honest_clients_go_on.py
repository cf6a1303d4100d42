"""Beside any hostile client, honest clients train on, memory is bounded, and the hostile one is named."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile.behaviours import BEHAVIOURS, Behaviour
from hostile.victim import Victim
from pslgs.transport.connection_limits import CLIENT_BYTES

pytestmark = pytest.mark.slow

GROWTH_LIMIT = 3 * CLIENT_BYTES
"""Bytes by which the memory of this process, server and attacker, may grow at most.

For answers to a flood gRPC takes about as much as the flood's bytes until the connection is ended: where
other processes keep the machine busy, 107 MiB were seen of those 64.
"""

STEPS = 10


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with Victim(tmp_path_factory.mktemp("victim"), [each.name for each in BEHAVIOURS]) as victim:
        yield victim


def peak_memory(*, reset: bool = False) -> int:
    """Return the largest resident memory in bytes since it was reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("behaviour", [pytest.param(each, id=each.name) for each in BEHAVIOURS])
async def test_honest_clients_go_on(
    behaviour: Behaviour, victim: Victim, caplog: pytest.LogCaptureFixture
) -> None:
    known, before = victim.known(behaviour.name), peak_memory(reset=True)
    acting = asyncio.ensure_future(behaviour.act(known))

    await asyncio.to_thread(victim.wait_for_steps, STEPS)
    assert (await asyncio.to_thread(victim.get, "healthz")).startswith("ok")
    await acting
    await asyncio.to_thread(victim.wait_for_steps, STEPS)

    assert peak_memory() - before < GROWTH_LIMIT
    assert "\x1b" not in caplog.text
    await asyncio.to_thread(victim.wait_for_honest_clients)
    if behaviour.seen_as:
        await asyncio.to_thread(victim.wait_for_fault, behaviour.name, *behaviour.seen_as)
