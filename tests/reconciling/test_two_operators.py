"""Two operators work on one job at once, and neither knows of the other."""

import asyncio
import random
from asyncio import FIRST_COMPLETED
from itertools import count

import pytest

from fake_api.server import Answer, Request
from reconciling.life import Operator, World
from reconciling.lifetime import LIFE, wrongs

pytestmark = pytest.mark.slow

SEEDS = 10
ROUNDS = 6
PAUSES = (0, 0, 1, 4, 40)
"""Turns of other tasks before and after a call."""


def interleave(operator: Operator, rng: random.Random) -> None:
    """Let other tasks come in between before and after each of its calls."""
    carry = operator.cluster.transport

    async def transport(request: Request) -> Answer:
        for _ in range(rng.choice(PAUSES)):
            await asyncio.sleep(0)
        answer = await carry(request)
        for _ in range(rng.choice(PAUSES)):
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


async def ended_after_a_pause(start: World, happens: str, number: int, *, after: bool) -> World | None:
    """Pause an operator at one of its calls until another has done all; None if it makes fewer calls."""
    world = start.clone()
    LIFE[happens](world)
    paused, other = Operator(world, instance="operator-0"), Operator(world, instance="operator-1")
    carry, reached, may_go_on = paused.cluster.transport, asyncio.Event(), asyncio.Event()
    calls = count()

    async def transport(request: Request) -> Answer:
        here = next(calls) == number
        if here and not after:
            reached.set()
            await may_go_on.wait()
        answer = await carry(request)
        if here and after:
            reached.set()
            await may_go_on.wait()
        return answer

    paused.cluster.transport = transport
    work = asyncio.create_task(paused.look())
    await asyncio.wait([work, waits := asyncio.create_task(reached.wait())], return_when=FIRST_COMPLETED)
    if not reached.is_set():
        waits.cancel()
        return None
    await other.settle()
    may_go_on.set()
    await work
    for operator in (paused, other):
        await operator.settle()
    return world


@pytest.mark.parametrize("after", [False, True], ids=["before its call", "after its call"])
@pytest.mark.parametrize("happens", LIFE)
async def test_one_that_was_paused_does_no_harm_when_it_goes_on(lived, happens, after):
    """As a leader that was frozen and does not know that another has taken its place."""
    start, wanted, calls = lived[happens]
    for number in range(len(calls)):
        end = await ended_after_a_pause(start, happens, number, after=after)
        if end is None:
            break
        assert not wrongs(end, start, wanted), f"paused at call {number} of {calls}"
