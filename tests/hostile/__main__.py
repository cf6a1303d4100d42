"""Attacks a server as one hostile client, again and again until it is killed.

PYTHONPATH=tests python -m hostile BEHAVIOUR '{"name": …, "folder": …, "port": …, …}'

The second argument are the fields of `hostile.client.Known` as JSON, the digest in hexadecimal.
"""

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

from hostile.behaviours import BEHAVIOURS
from hostile.client import Known


async def attack(behaviour: str, known: Known) -> None:
    """Repeat a behaviour."""
    act = next(each.act for each in BEHAVIOURS if each.name == behaviour)
    print("ready", flush=True)
    while True:
        with suppress(OSError, EOFError):
            await act(known)


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    special = {"folder": Path(given["folder"]), "digest": bytes.fromhex(given["digest"])}
    asyncio.run(attack(sys.argv[1], Known(**given | special)))
