"""An event loop whose time jumps to the next timer as soon as nothing else is left to do."""

import asyncio
import selectors
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

PROCESS: ContextVar[str] = ContextVar("PROCESS")
"""Name of the process that a task belongs to."""


def context_of(process: str) -> Context:
    """Return a context for tasks of a process, which those that they create inherit."""
    context = copy_context()
    context.run(PROCESS.set, process)
    return context


class NothingLeftError(RuntimeError):
    """Every task waits for something that no other task and no timer will bring about."""


class _Selector(selectors.SelectSelector):
    """Waits for no file longer than for what is there, and lets time pass instead.

    Attributes:
        now: Virtual time in seconds.
    """

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingLeftError("nothing is left to do")
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The event loop; its time begins at 0."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        self._tasks: dict[str, list[asyncio.Task[Any]]] = {}
        super().__init__(self._virtual)
        self.set_task_factory(self._make_task)

    def tasks_of(self, process: str) -> list[asyncio.Task[Any]]:
        """Return the tasks of a process that are not done, in the order in which they were created."""
        left = [task for task in self._tasks.get(process, ()) if not task.done()]
        self._tasks[process] = left
        return list(left)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, context=context)
        process = PROCESS.get("") if context is None else context.get(PROCESS, "")
        self._tasks.setdefault(process, []).append(task)
        return task

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time.

    Raises:
        NothingLeftError: it waits for ever.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
