"""Schedules are drawn beside the event loop, which waits for no draw, not even at the end."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pytest

from pslgs.coordination.messages import DrawSchedule, Event, ScheduleDrawn
from pslgs.coordination.schedule_draw import DrawId, ScheduleDraw
from pslgs.process.tasks import task_group
from pslgs.sampling.schedule import draw_global_schedule
from pslgs.server.schedule_drawer import ScheduleDrawer
from server.fakes import settle

SECONDS = 20.0
"""After which a test gives up."""


def effect(number: int, sampler: Callable | None = None) -> DrawSchedule:
    sampler = sampler or (lambda holdings, rng: draw_global_schedule(holdings.remaining, 4, rng))
    return DrawSchedule(ScheduleDraw(DrawId(1, number), 7, sampler, {"a": 9, "b": 3}))


@dataclass
class Gate:
    """A sampler that draws when the test says so."""

    begun: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    threads: list[str] = field(default_factory=list)

    def __call__(self, holdings, rng):
        self.threads.append(threading.current_thread().name)
        self.begun.set()
        assert self.opened.wait(SECONDS)
        return draw_global_schedule(holdings.remaining, 4, rng)


async def drawn(drawer: ScheduleDrawer, told: "asyncio.Queue[Event]", effects: list[DrawSchedule]) -> Event:
    for each in effects:
        drawer.draw(each)
    return await asyncio.wait_for(told.get(), SECONDS)


async def test_a_schedule_is_the_same_as_if_drawn_inline():
    told: asyncio.Queue[Event] = asyncio.Queue()
    async with task_group() as tasks:
        event = await drawn(ScheduleDrawer(tasks, told.put_nowait), told, [effect(1)])
    assert isinstance(event, ScheduleDrawn)
    assert event.draw_id == DrawId(1, 1)
    assert np.array_equal(event.result.schedule.pool, effect(1).draw.run().schedule.pool)


async def test_the_event_loop_runs_while_a_schedule_is_drawn():
    gate, told = Gate(), asyncio.Queue()
    async with task_group() as tasks:
        drawer = ScheduleDrawer(tasks, told.put_nowait)
        drawer.draw(effect(1, gate))
        await settle()
        assert told.empty()
        gate.opened.set()
        await asyncio.wait_for(told.get(), SECONDS)
    assert gate.threads == ["schedule"]


async def test_the_drawer_can_be_used_again():
    told: asyncio.Queue[Event] = asyncio.Queue()
    async with task_group() as tasks:
        drawer = ScheduleDrawer(tasks, told.put_nowait)
        ids = [(await drawn(drawer, told, [effect(number)])).draw_id.number for number in (1, 2)]
    assert ids == [1, 2]


async def test_an_error_of_a_draw_ends_the_server():
    def fails(*_):
        raise MemoryError("Unable to allocate 4 TiB")

    with pytest.raises(MemoryError, match="4 TiB"):
        async with task_group() as tasks:
            ScheduleDrawer(tasks, lambda _: None).draw(effect(1, fails))


async def test_closing_does_not_wait_for_the_draw_in_progress():
    gate = Gate()
    with suppress(asyncio.CancelledError):
        async with asyncio.timeout(SECONDS), task_group() as tasks:
            drawer = ScheduleDrawer(tasks, lambda _: None)
            drawer.draw(effect(1, gate))
            await settle()
            drawer.close()
    assert not gate.opened.is_set()
    (thread,) = [each for each in threading.enumerate() if each.name == "schedule"]
    assert thread.daemon
    gate.opened.set()
    thread.join(SECONDS)
