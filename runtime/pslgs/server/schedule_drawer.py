"""Draws schedules in a separate thread, so that the event loop never waits for a draw."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from pslgs.coordination.messages import DrawSchedule, Event, ScheduleDrawn
from pslgs.coordination.schedule_draw import ScheduleDraw

T = TypeVar("T")


async def in_daemon_thread(call: Callable[[], T]) -> T:
    """Await a call in a new daemon thread; neither cancellation nor the end of the process waits for it."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()  # from now on, cancelling the wait does not cancel it

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where the call is awaited, as by an executor
            outcome.set_exception(error)

    Thread(target=work, name="schedule", daemon=True).start()
    return await asyncio.wrap_future(outcome)


class ScheduleDrawer:
    """Draws schedules, one at a time, and posts them to the coordinator."""

    def __init__(self, tasks: asyncio.TaskGroup, post: Callable[[Event], None]) -> None:
        self._tasks = tasks
        self._post = post
        self._drawing: asyncio.Task[None] | None = None

    def draw(self, effect: DrawSchedule) -> None:
        """Begin to draw a schedule; the one before must be drawn."""
        self._drawing = self._tasks.create_task(self._draw(effect.draw))

    def close(self) -> None:
        """Stop waiting for the draw in progress, which cannot be interrupted."""
        if self._drawing is not None:
            self._drawing.cancel()

    async def _draw(self, draw: ScheduleDraw) -> None:
        self._post(ScheduleDrawn(draw.draw_id, await in_daemon_thread(draw.run)))
