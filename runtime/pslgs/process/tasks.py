"""Helpers for asyncio tasks that do not hide errors: a task group, background work and cancellation."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Provide an `asyncio.TaskGroup` that raises the first error of a task instead of an exception group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except ExceptionGroup as group:
        error = _first_error(group)
        # The cause of an error in a user's code is the user's exception, which a traceback must still show.
        raise error from error.__cause__ or group


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``work`` during the block and cancel it at the end; an error in it ends the block and is raised."""
    async with task_group() as tasks:
        task = tasks.create_task(work)
        try:
            yield
        finally:
            task.cancel()


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; an error of the task is logged, not raised."""
    task.cancel()
    await asyncio.wait({task})
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _logger.error("A task failed while it was being stopped.", exc_info=error)


def _first_error(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first_error(error) if isinstance(error, ExceptionGroup) else error
