"""Draws schedules in a thread of their own, so that the event loop never waits for a draw."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from pslgs.coordination.messages import DrawSchedule, Event, ScheduleDrawn

T = TypeVar("T")


async def in_daemon_thread(call: Callable[[], T]) -> T:
    """Wait for a call in a new thread that neither a cancelled wait nor the end of the process waits for."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()  # from now on, a cancelled wait leaves it alone

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where the call is awaited, as by an executor
            outcome.set_exception(error)

    Thread(target=work, name="schedule", daemon=True).start()
    return await asyncio.wrap_future(outcome)


class ScheduleDrawer:
    """Makes one draw at a time, the latest that was asked for, and tells the coordinator of its schedule.

    A draw cannot be interrupted.  One that another has replaced is finished and dropped before the other
    begins, so that there is memory for one schedule only, however often clients come and go.
    """

    def __init__(self, tasks: asyncio.TaskGroup, post: Callable[[Event], None]) -> None:
        self._tasks = tasks
        self._post = post
        self._requested: DrawSchedule | None = None
        self._drawing: asyncio.Task[None] | None = None

    def draw(self, effect: DrawSchedule) -> None:
        """Make a draw, in place of any other that has not been told of."""
        self._requested = effect
        if self._drawing is None:
            self._drawing = self._tasks.create_task(self._draw_requested())

    def close(self) -> None:
        """Do not wait for the draw under way."""
        if self._drawing is not None:
            self._drawing.cancel()

    async def _draw_requested(self) -> None:
        while self._requested is not None:
            draw, self._requested = self._requested.draw, None
            result = await in_daemon_thread(draw.run)
            if self._requested is None:
                self._post(ScheduleDrawn(draw.draw_id, result))
        self._drawing = None
