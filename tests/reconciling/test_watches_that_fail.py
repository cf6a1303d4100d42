"""Watches that stop, begin anew, or tell late: the cluster ends as with watches that work."""

from collections.abc import Callable

import pytest

from reconciling.life import Operator, World
from reconciling.lifetime import LIFE, wrongs

ROUNDS = 8


def _silent(_: Operator, __: int) -> None:
    """Tell nothing, until everything is listed anew in the end."""


def _late(operator: Operator, _: int) -> None:
    operator.watches.deliver(only=1)


def _listed_anew(operator: Operator, number: int) -> None:
    if number % 2:
        operator.watches.relist()


def _without_deletions(operator: Operator, _: int) -> None:
    """Stop, miss what happens, and go on as if nothing had been missed; only a list tells what is gone."""
    operator.watches.seen = dict.fromkeys(
        operator.watches.stores.by_resource, operator.world.server.storage.version
    )


WATCHES: dict[str, Callable[[Operator, int], None]] = {
    "stop": _silent,
    "tell late": _late,
    "begin anew": _listed_anew,
    "miss something": _without_deletions,
}


async def ended(start: World, happens: str, tell: Callable[[Operator, int], None]) -> World:
    world = start.clone()
    operator = Operator(world)
    LIFE[happens](world)
    for number in range(ROUNDS):
        world.run_controllers()
        tell(operator, number)
        await operator.look()
        world.later(1)
    operator.watches.relist()
    await operator.settle()
    return world


@pytest.mark.parametrize("watches", WATCHES)
@pytest.mark.parametrize("happens", LIFE)
async def test_the_cluster_ends_as_with_watches_that_work(lived, happens, watches):
    start, wanted, _ = lived[happens]
    assert not wrongs(await ended(start, happens, WATCHES[watches]), start, wanted)
