"""A signal or the end of its parent requests a process to stop."""

import asyncio
import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from pslgs.process.signals import (
    StoppedEarly,
    delaying_signals,
    signal_of,
    stop_reason,
    stopping_early,
    without_interrupts,
)


@pytest.fixture
def parent(monkeypatch):
    """A pipe in place of the parent: closing the yielded end makes the sentinel readable."""
    sentinel, held = os.pipe()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(sentinel=sentinel))
    yield held
    os.close(sentinel)


async def test_a_signal_is_the_reason_to_stop(parent):
    with stop_reason(with_parent=True, parent_grace=1000.0) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert await stop == "stopped by SIGTERM"
    os.close(parent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_the_signal_can_be_passed_on_to_other_processes(number):
    with stop_reason(with_parent=False) as stop:
        signal.raise_signal(number)
        assert signal_of(await stop) is number


def test_processes_are_told_to_stop_for_any_other_reason():
    assert signal_of("the parent process has ended") is signal.SIGTERM


def test_processes_may_be_started_in_any_thread():
    def start() -> bool:
        with without_interrupts():
            return signal.getsignal(signal.SIGINT) is signal.SIG_IGN

    before = signal.getsignal(signal.SIGINT)
    assert start()
    with ThreadPoolExecutor(1) as other:
        assert not other.submit(start).result()
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_handled_when_processes_have_been_started():
    begun = []

    def start() -> None:
        with stopping_early(), delaying_signals():
            signal.raise_signal(signal.SIGTERM)
            begun.append(1)

    with pytest.raises(StoppedEarly, match="stopped by SIGTERM"):
        start()
    assert begun


def test_signals_of_other_threads_are_not_delayed():
    def is_delayed() -> bool:
        handler = signal.getsignal(signal.SIGTERM)
        with delaying_signals():
            return signal.getsignal(signal.SIGTERM) is not handler

    assert is_delayed()
    with ThreadPoolExecutor(1) as other:
        assert not other.submit(is_delayed).result()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_signal_whose_exception_was_lost_is_a_reason_to_stop_later():
    class Collected:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    with stopping_early():
        Collected()
        with stop_reason(with_parent=False) as stop:
            assert await stop == "stopped by SIGTERM"
    with stop_reason(with_parent=False) as stop:
        assert not stop.done()


async def test_the_end_of_the_parent_is_the_reason_to_stop(parent):
    with stop_reason(with_parent=True) as stop:
        os.close(parent)
        assert await stop == "the parent process has ended"


async def test_the_end_of_the_parent_is_noticed_once_and_counts_after_the_grace(parent, monkeypatch):
    loop = asyncio.get_running_loop()
    called: list[float] = []
    noticed = asyncio.Event()
    later = loop.call_later

    def note(seconds, callback, *arguments):
        if seconds == 1000.0:
            called.append(seconds)
            noticed.set()
        return later(seconds, callback, *arguments)

    monkeypatch.setattr(loop, "call_later", note)
    with stop_reason(with_parent=True, parent_grace=1000.0) as stop:
        os.close(parent)
        await noticed.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert called == [1000.0]
        assert not stop.done()
