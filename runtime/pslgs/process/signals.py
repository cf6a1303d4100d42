"""Requests to stop a process: signals, and the end of its parent."""

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

from pslgs.spec.exit_codes import ExitCode

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_REASONS: Final = {number: f"stopped by {number.name}" for number in SIGNALS}
_received_early: Final[list[str]] = []
"""Reasons of `StoppedEarly` so far: one that is raised in a callback, as of a weak reference, is lost."""


class StoppedEarly(SystemExit):
    """Raised when a signal arrives before `stop_reason` is active; the message names the signal.

    Attributes:
        code: The exit code, `ExitCode.INTERRUPTED`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(ExitCode.INTERRUPTED)
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


def signal_of(reason: str) -> signal.Signals:
    """Return the signal that a reason to stop names, to pass it on; SIGTERM if it names none."""
    return next((number for number, words in _REASONS.items() if words == reason), signal.SIGTERM)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Let the processes that are started inside the block, which must be short, ignore Ctrl-C.

    A terminal sends it to all processes of a command, and one that imports its modules at that moment would
    end with a traceback.  In another thread than the main one, which cannot change this, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def delaying_signals() -> Iterator[None]:
    """Handle SIGTERM and SIGINT that arrive inside the block, which must be short, when it is over.

    In another thread than the main one, which handles signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {
        number: signal.signal(number, lambda received, _: arrived.append(received)) for number in SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for received in arrived:
            signal.raise_signal(received)


@contextmanager
def stopping_early() -> Iterator[None]:
    """Raise `StoppedEarly` on SIGTERM and SIGINT inside the block, until `stop_reason` replaces the handlers.

    The first process of a container needs a handler, because the kernel does not apply the default action
    of signals to it.
    """

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        reason = _REASONS[signal.Signals(number)]
        _received_early.append(reason)
        raise StoppedEarly(reason)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        _received_early.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_reason(*, with_parent: bool, parent_grace: float = 0.0) -> Iterator[asyncio.Future[str]]:
    """Provide a future whose result is the reason for which the process shall stop.

    SIGTERM and SIGINT set the result, also those that came before and had no effect; see `stopping_early`.

    Args:
        with_parent: Whether the end of the parent process sets the result as well; the parent must have
            started this process with `multiprocessing`.
        parent_grace: Seconds from the end of the parent process until the result is set.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def request_stop(reason: str) -> None:
        if not stop.done():
            stop.set_result(reason)

    parent = multiprocessing.parent_process() if with_parent else None

    def handle_parent_end(sentinel: int) -> None:
        loop.remove_reader(sentinel)  # the sentinel stays readable, and would call this repeatedly
        loop.call_later(parent_grace, request_stop, "the parent process has ended")

    for number in SIGNALS:
        loop.add_signal_handler(number, request_stop, _REASONS[number])
    for reason in _received_early:
        request_stop(reason)
    if parent:
        loop.add_reader(parent.sentinel, handle_parent_end, parent.sentinel)
    try:
        yield stop
    finally:
        if parent:
            loop.remove_reader(parent.sentinel)
        for number in SIGNALS:
            loop.remove_signal_handler(number)
