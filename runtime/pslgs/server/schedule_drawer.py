"""Draws schedules in a separate thread, so that the event loop never waits for a draw."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from pslgs.coordination.messages import DrawSchedule, Event, ScheduleDrawn

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
    """Makes one draw at a time, the one requested last, and posts its schedule to the coordinator.

    A draw cannot be interrupted.  One that was replaced is finished and dropped before the next one begins,
    so that memory is needed for one schedule only, however often clients join and leave.
    """

    def __init__(self, tasks: asyncio.TaskGroup, post: Callable[[Event], None]) -> None:
        self._tasks = tasks
        self._post = post
        self._requested: DrawSchedule | None = None
        self._drawing: asyncio.Task[None] | None = None

    def draw(self, effect: DrawSchedule) -> None:
        """Make a draw, in place of any earlier one that is not finished."""
        self._requested = effect
        if self._drawing is None:
            self._drawing = self._tasks.create_task(self._draw_requested())

    def close(self) -> None:
        """Stop waiting for the draw in progress."""
        if self._drawing is not None:
            self._drawing.cancel()

    async def _draw_requested(self) -> None:
        while self._requested is not None:
            draw, self._requested = self._requested.draw, None
            result = await in_daemon_thread(draw.run)
            if self._requested is None:
                self._post(ScheduleDrawn(draw.draw_id, result))
        self._drawing = None
