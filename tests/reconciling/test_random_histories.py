"""Whatever happens to a job, and in whatever order, in the end there is what must be there."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from reconciling.histories import EDITS, History
from reconciling.life import KEY

TOGETHER = 10
CHUNKS = 100
OWNED = {"Job", "Service", "ConfigMap", "NetworkPolicy", "PersistentVolumeClaim", "Secret"}


def wrongs(history: History) -> list[str]:
    """Say what is not as the model wants it."""
    world, model = history.world, history.model
    job = world.get("SplitTrainingJob", KEY.name)
    assert job is not None
    found = [*_differences("Job", set(world.of("Job")), model.jobs())]
    pods = {each["metadata"]["labels"]["batch.kubernetes.io/job-name"] for each in world.of("Pod").values()}
    found += _differences("pod of", pods, model.jobs())
    if not model.suspended:
        there = {(key.kind, key.name) for key in world.objects}
        found += [f"{kind} {name} is missing" for kind, name in model.supporting() - there]
        found += [f"Secret {name} is missing" for name in model.identities() - set(world.of("Secret"))]
        edited = (
            key
            for key, body in world.objects.items()
            if key.kind in EDITS and key not in history.strangers and _is_edited(body)
        )
        found += [f"{key.kind} {key.name} is as somebody edited it" for key in edited]
    found += [
        f"{key.kind} {key.name} of somebody else is not as it was"
        for key, body in history.strangers.items()
        if world.objects.get(key) != body
    ]
    for key, body in world.objects.items():
        owners = body["metadata"].get("ownerReferences")
        if key.namespace == KEY.namespace and key.kind in OWNED and key not in history.strangers:
            uids = [owner["uid"] for owner in owners or ()]
            found += [] if uids == [job["metadata"]["uid"]] else [f"{key.kind} {key.name} is owned by {uids}"]
    authorities = len(world.trusted(history.strangers))
    found += [f"there are {authorities} authorities"] if authorities > 1 else []
    conditions = {each["type"]: each for each in job["status"]["conditions"]}
    if conditions["Suspended"]["status"] != str(model.suspended):
        found.append(f"Suspended is {conditions['Suspended']}")
    if job["status"]["observedGeneration"] != job["metadata"]["generation"]:
        found.append("the status is about an older generation")
    return found


def _is_edited(body: Mapping[str, Any]) -> bool:
    return any(text in str(body) for text in ("by somebody else", "YnkgYSBzdHJhbmdlcg=="))


def _differences(what: str, found: set[str], wanted: set[str]) -> list[str]:
    return [f"{what} {name} is missing" for name in sorted(wanted - found)] + [
        f"{what} {name} should not be there" for name in sorted(found - wanted)
    ]


async def lived(seeds: range) -> list[str]:
    """Live histories; returns what went wrong, with the whole trace of each."""
    reports = []
    for seed in seeds:
        history = History(seed)
        try:
            await history.run()
            wrong = wrongs(history)
        except (AssertionError, KeyError) as error:
            wrong = [repr(error)]
        if wrong:
            reports.append("\n".join([f"seed {seed}:", *history.trace, *(f"-> {each}" for each in wrong)]))
    return reports


@pytest.mark.parametrize(
    "chunk", [pytest.param(n, marks=[pytest.mark.slow] * (n > 0), id=f"{n}") for n in range(CHUNKS)]
)
def test_in_the_end_there_is_what_must_be_there(chunk):
    first = chunk * TOGETHER
    reports = asyncio.run(lived(range(first, first + TOGETHER)))
    assert not reports, f"{len(reports)} of {TOGETHER} histories\n\n" + "\n\n".join(reports[:2])
