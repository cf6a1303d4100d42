"""With ``onHostile: Fail``, the first violation ends the job, with a message that names the client."""

import asyncio
from pathlib import Path

import pytest

from hostile.behaviours import BEHAVIOURS
from hostile.victim import Victim
from pslgs.spec import ExitCode

pytestmark = pytest.mark.slow


async def test_a_job_may_end_at_the_first_violation(tmp_path: Path) -> None:
    hostile = next(each for each in BEHAVIOURS if each.name == "answer-twice")
    with Victim(tmp_path, [hostile.name], onHostile="Fail") as victim:
        await hostile.act(victim.known(hostile.name))
        ended = await asyncio.to_thread(victim.wait_for_end)
    assert ended.exit_code is ExitCode.HOSTILE_CLIENT
    assert ended.message.startswith(f"client {hostile.name} violated the protocol (A chunk")
