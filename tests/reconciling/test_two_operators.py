"""Two operators work on one job at once, and neither knows of the other."""

import asyncio
import random

import pytest

from fake_api.server import Answer, Request
from reconciling.life import Operator, World
from reconciling.lifetime import LIFE, wrongs

SEEDS = 10
ROUNDS = 6


def interleave(operator: Operator, rng: random.Random) -> None:
    """Let other tasks come in between before and after each of its calls."""
    carry = operator.cluster.transport

    async def transport(request: Request) -> Answer:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        answer = await carry(request)
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        return answer

    operator.cluster.transport = transport


async def ended(start: World, happens: str, seed: int) -> World:
    world, rng = start.clone(), random.Random(seed)  # noqa: S311 - a schedule
    LIFE[happens](world)
    both = [Operator(world, instance=f"operator-{number}") for number in range(2)]
    for operator in both:
        interleave(operator, rng)
    for _ in range(ROUNDS):
        await asyncio.gather(*(operator.look() for operator in both))
        world.run_controllers()
        for operator in both:
            operator.watches.deliver(only=rng.choice([1, 3, None]))
        world.later(rng.choice([1, 10]))
    for operator in both * 2:
        await operator.settle()
    return world


@pytest.mark.parametrize("happens", LIFE)
async def test_the_cluster_ends_as_with_one(lived, happens):
    start, wanted, _ = lived[happens]
    for seed in range(SEEDS):
        assert not wrongs(await ended(start, happens, seed), start, wanted), f"seed {seed}"
