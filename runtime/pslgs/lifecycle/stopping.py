"""The ways in which a process is asked to stop: a signal, or the end of the process that started it."""

import asyncio
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from pslgs.spec.exit_codes import ExitCode

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StoppedEarly(SystemExit):
    """A signal came before the process listened with `stop_reason`; the message says which.

    Attributes:
        code: The exit code, INTERRUPTED.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(ExitCode.INTERRUPTED)
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


@contextmanager
def stopping_early() -> Iterator[None]:
    """Raise `StoppedEarly` at a signal, until `stop_reason` takes over.

    Without a handler the signal would be lost on a container's first process, which the system spares.
    """

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        raise StoppedEarly(f"stopped by {signal.Signals(number).name}")

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_reason(*, with_parent: bool, parent_grace: float = 0.0) -> Iterator[asyncio.Future[str]]:
    """Give a future that is resolved with the reason once the process is asked to stop.

    Args:
        with_parent: Whether the end of the process that started this one counts as well, however it ends;
            it must have done so with `multiprocessing`.
        parent_grace: Seconds between that end and the future's result.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def ask(reason: str) -> None:
        if not stop.done():
            stop.set_result(reason)

    parent = multiprocessing.parent_process() if with_parent else None

    def note_end_of_parent(sentinel: int) -> None:
        loop.remove_reader(sentinel)  # it stays readable, and would call this again and again
        loop.call_later(parent_grace, ask, "the process that started it has ended")

    for number in SIGNALS:
        loop.add_signal_handler(number, ask, f"stopped by {number.name}")
    if parent:
        loop.add_reader(parent.sentinel, note_end_of_parent, parent.sentinel)
    try:
        yield stop
    finally:
        if parent:
            loop.remove_reader(parent.sentinel)
        for number in SIGNALS:
            loop.remove_signal_handler(number)
