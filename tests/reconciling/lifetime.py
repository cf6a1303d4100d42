"""What happens to a job from its beginning to its end, and how a cluster looks after each of it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pslgs_operator import names
from reconciling.faults import Fault
from reconciling.life import KEY, Operator, World, manifest, training

Change = Callable[[World], None]

TTL = 3600
RENEWAL = timedelta(days=300)


def _applied(world: World) -> None:
    world.put(manifest(ttlSecondsAfterFinished=TTL, checkpoint={"storage": {"size": "1Gi"}}))


def _in_training(world: World) -> None:
    world.report = training("edge-0-0", "edge-1-0")


def _suspended(*, wanted: bool) -> Change:
    def change(world: World) -> None:
        job = world.get("SplitTrainingJob", KEY.name)
        assert job is not None
        world.report = None
        world.put({**job, "spec": {**job["spec"], "suspend": wanted}})

    return change


def _completed(world: World) -> None:
    world.complete("digits-server")
    world.report = None


LIFE: dict[str, Change] = {
    "is applied": _applied,
    "begins to train": _in_training,
    "gets a node": lambda world: world.add_node("edge-2"),
    "loses a node": lambda world: world.remove_node("edge-1"),
    "renews certificates": lambda world: world.later(RENEWAL.total_seconds()),
    "is suspended": _suspended(wanted=True),
    "is resumed": _suspended(wanted=False),
    "completes": _completed,
    "ends its time to live": lambda world: world.later(TTL),
}


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_BOOKKEEPING = {
    "uid", "resourceVersion", "managedFields", "creationTimestamp", "name", names.AUTHORITY_ANNOTATION
}  # fmt: skip
_SOON = timedelta(days=120)


def state(world: World) -> dict[str, Any]:
    """Return what is in the cluster, without what is different in every run."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items() if name not in _BOOKKEEPING}
        if isinstance(value, list):
            return [plain(each) for each in value]
        if isinstance(value, str) and _TIME.fullmatch(value):
            at = datetime.fromisoformat(value)
            return "past" if at <= world.now else "soon" if at < world.now + _SOON else "later"
        return re.sub(r"uid-\d+", "uid", value) if isinstance(value, str) else value

    found = {}
    for key, body in world.objects.items():
        if key.kind in {"Event", "Node"}:
            continue
        name = body["metadata"]["labels"]["batch.kubernetes.io/job-name"] if key.kind == "Pod" else key.name
        data = {"data": sorted(body.get("data") or {})} if key.kind == "Secret" else {}
        assert f"{key.kind}/{name}" not in found, f"there are two {key.kind} {name}"
        found[f"{key.kind}/{plain(name)}"] = plain({**body, **data})
    return found


def differences(found: Any, wanted: Any, path: str = "") -> list[str]:
    """Say where two values differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = sorted(found.keys() | wanted.keys())
        return [each for n in names for each in differences(found.get(n), wanted.get(n), f"{path}.{n}")]
    return [] if found == wanted else [f"{path}: {found!r}, not {wanted!r}"]


async def after(start: World, change: Change, fault: Fault) -> World:
    """Let something happen to a world, and an operator do what it has to, with a fault."""
    world = start.clone()
    change(world)
    operator = Operator(world)
    fault.attach(operator)
    await operator.settle()
    return world


async def history() -> list[tuple[str, World, World, list[str]]]:
    """Live without faults: what happens, the worlds before and after it, the calls up to the last write."""
    world, lived = World(), []
    for name in ("edge-0", "edge-1"):
        world.add_node(name)
    for name, change in LIFE.items():
        fault = Fault()
        end = await after(world, change, fault)
        writes = [number for number, call in enumerate(fault.calls) if not call.startswith("read")]
        lived.append((name, world, end, fault.calls[: max(writes) + 2]))
        world = end
    return lived


def wrongs(end: World, start: World, wanted: World) -> list[str]:
    """Say how a world differs from the one that is wanted, both of which come from ``start``."""
    found = differences(state(end), state(wanted))
    if len(end.trusted()) > 1:
        found.append(f"there are {len(end.trusted())} authorities")
    if start.trusted() == wanted.trusted() and end.trusted() != start.trusted():
        found.append("the authority is another one")
    return found
