"""Where a process computes: in a thread of its own, or where a quick computation is asked for."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from pslgs.training import torch_thread
from pslgs.training.torch_thread import QUICK_SECONDS, TorchThread

QUICK, SLOW = 0.5 * QUICK_SECONDS, 10 * QUICK_SECONDS


class Timed(TorchThread):
    """A torch thread whose computations take the time that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(lambda: self.now)

    async def place(self, seconds: float) -> threading.Thread:
        """Compute for some seconds, and return where."""

        def computation() -> threading.Thread:
            self.now += seconds
            return threading.current_thread()

        return await self.compute(computation)


@pytest.fixture
async def thread() -> AsyncIterator[Timed]:
    thread = Timed()
    yield thread
    thread.close()


async def test_what_was_quick_is_computed_at_once(thread):
    here = threading.current_thread()
    places = [await thread.place(QUICK) for _ in range(3)]
    assert places[0] is not here
    assert places[1:] == [here, here]


async def test_what_is_slow_is_computed_in_the_thread(thread):
    here = threading.current_thread()
    assert here not in [await thread.place(SLOW) for _ in range(3)]


async def test_a_slow_computation_is_followed_by_some_in_the_thread(thread):
    here = threading.current_thread()
    for seconds in (QUICK, SLOW):
        await thread.place(seconds)
    places = [await thread.place(QUICK) is here for _ in range(100)]
    assert 10 < places.index(True) < 40
    assert all(places[places.index(True) :])


async def test_each_function_is_judged_by_its_own_calls(thread):
    def other() -> threading.Thread:
        return threading.current_thread()

    await thread.place(SLOW)
    for _ in range(2):
        place = await thread.compute(other)
    assert place is threading.current_thread()


async def test_computations_keep_the_order_in_which_they_were_asked_for(thread):
    await thread.place(QUICK)
    done, go_on = [], threading.Event()

    def held_up() -> None:
        assert go_on.wait(10)
        done.append("first")

    thread.submit(held_up)
    second = asyncio.create_task(thread.place(QUICK))
    second.add_done_callback(lambda _: done.append("second"))
    await asyncio.sleep(0)
    go_on.set()
    assert await second is not threading.current_thread()
    assert done == ["first", "second"]


async def test_a_gpu_is_used_in_the_thread_only(thread, monkeypatch):
    monkeypatch.setattr(torch_thread, "_uses_gpu", lambda: True)
    assert threading.current_thread() not in [await thread.place(QUICK) for _ in range(3)]


async def test_an_error_is_raised_wherever_it_happens(thread):
    def checked(value: str) -> None:
        if value == "bad":
            raise ValueError(value)

    with pytest.raises(ValueError, match="bad"):
        await thread.compute(checked, "bad")
    await thread.compute(checked, "good")
    with pytest.raises(ValueError, match="bad"):
        await thread.compute(checked, "bad")
