import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from pslgs_operator.kube_client import ConflictError, RetryableError
from pslgs_operator.workqueue import RateLimit, WorkQueue

AT_ONCE = RateLimit(spacing=0.0, backoff=0.0, longest_backoff=0.0)
SOON = timedelta(0)


@asynccontextmanager
async def running(queue: WorkQueue[str]):
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Work:
    """Takes note of what is asked of it, and ends when told to."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)
        self.calls: asyncio.Queue[str] = asyncio.Queue()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.busy: list[str] = []
        self.most_at_once = 0

    async def __call__(self, key: str) -> timedelta | None:
        assert key not in self.busy
        self.busy.append(key)
        self.most_at_once = max(self.most_at_once, len(self.busy))
        self.calls.put_nowait(key)
        await self.may_end.wait()
        self.busy.remove(key)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def next(self) -> str:
        async with asyncio.timeout(10):
            return await self.calls.get()


async def test_what_is_added_is_worked_on():
    work = Work()
    queue = WorkQueue(work, pace=AT_ONCE)
    queue.add("before it runs")
    async with running(queue):
        assert await work.next() == "before it runs"
        queue.add("while it runs")
        assert await work.next() == "while it runs"


async def test_a_key_is_looked_at_again_after_the_time_that_work_returns():
    work = Work(SOON, SOON)
    queue = WorkQueue(work, pace=AT_ONCE)
    async with running(queue):
        queue.add("a")
        assert [await work.next() for _ in range(3)] == ["a", "a", "a"]


@pytest.mark.parametrize(
    "trouble", [RetryableError("starting"), RuntimeError("a mistake")], ids=["unavailable", "mistake"]
)
async def test_work_that_fails_is_tried_again_and_others_go_on(trouble, caplog):
    work = Work(trouble)
    queue = WorkQueue(work, pace=AT_ONCE)
    async with running(queue):
        queue.add("a")
        assert [await work.next() for _ in range(2)] == ["a", "a"]
        queue.add("b")
        assert await work.next() == "b"
    assert "a" in caplog.text


async def test_only_a_mistake_is_told_with_its_traceback(caplog):
    caplog.set_level(logging.WARNING)
    work = Work(RetryableError("starting"), RuntimeError("a mistake"))
    queue = WorkQueue(work, pace=AT_ONCE)
    async with running(queue):
        queue.add("a")
        for _ in range(3):
            await work.next()
    assert [record.exc_info is not None for record in caplog.records] == [False, True]


async def test_different_keys_are_worked_on_together_up_to_a_limit():
    work = Work()
    work.may_end.clear()
    queue = WorkQueue(work, workers=3, pace=AT_ONCE)
    async with running(queue):
        for key in "abcdef":
            queue.add(key)
        assert {await work.next() for _ in range(3)} == set("abc")
        work.may_end.set()
        assert {await work.next() for _ in range(3)} == set("def")
    assert work.most_at_once == 3


async def test_what_is_added_during_the_work_is_seen_to_afterwards():
    work = Work()
    work.may_end.clear()
    queue = WorkQueue(work, pace=AT_ONCE)
    async with running(queue):
        queue.add("a")
        await work.next()
        queue.add("a")
        queue.add("a")
        work.may_end.set()
        assert await work.next() == "a"
        queue.add("b")
        assert await work.next() == "b"
    assert work.calls.empty()


async def test_a_key_whose_work_hangs_gives_its_worker_back_and_is_tried_again(caplog):
    hanging = asyncio.Event()

    async def work(key):
        if key == "hangs":
            hanging.set()
            await asyncio.Event().wait()

    queue = WorkQueue(work, workers=1, limit=timedelta(seconds=0.01), pace=AT_ONCE)
    async with running(queue):
        queue.add("hangs")
        for _ in range(2):
            await asyncio.wait_for(hanging.wait(), 10)
            hanging.clear()
    assert "hangs will be tried again: it took longer than 0.01 s" in caplog.text


@pytest.mark.parametrize("error", [RetryableError("for ever"), RuntimeError("a mistake"), None], ids=str)
async def test_a_key_that_fails_or_hangs_for_ever_holds_up_no_other(error):
    done: asyncio.Queue[str] = asyncio.Queue()

    async def work(key):
        if key.startswith("bad"):
            if error is None:
                await asyncio.Event().wait()
            raise error
        done.put_nowait(key)

    queue = WorkQueue(work, limit=timedelta(hours=1))
    async with running(queue):
        for number in range(100):
            queue.add(f"bad {number}")
            queue.add(f"good {number}")
        async with asyncio.timeout(10):
            assert {await done.get() for _ in range(100)} == {f"good {number}" for number in range(100)}


async def test_a_conflict_is_no_warning(caplog):
    caplog.set_level(logging.INFO)
    work = Work(ConflictError("changed"))
    queue = WorkQueue(work, pace=AT_ONCE)
    async with running(queue):
        queue.add("a")
        assert [await work.next() for _ in range(2)] == ["a", "a"]
    assert {record.levelno for record in caplog.records} == {logging.INFO}
