"""A task group that raises the first error itself."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def run_together() -> AsyncIterator[asyncio.TaskGroup]:
    """Provide an ``asyncio.TaskGroup``, but raise the first error of a task instead of an exception group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except ExceptionGroup as group:
        raise _first(group) from group


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``work`` while the block runs, and cancel it at the end; its error ends the block, as itself."""
    async with run_together() as tasks:
        task = tasks.create_task(work)
        try:
            yield
        finally:
            task.cancel()


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; an error in it is logged, because nobody else waits for it."""
    task.cancel()
    await asyncio.wait({task})
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _logger.error("A task failed while it was being stopped.", exc_info=error)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
