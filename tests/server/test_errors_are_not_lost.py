"""An error in work that goes on beside ends what it belongs to, or is logged."""

import asyncio
import logging

import pytest

from pslgs.coordination import messages
from pslgs.coordination.messages import ExchangeId
from pslgs.process.tasks import cancel_and_wait, in_background
from pslgs.server.step_runner import StepRunner
from server.fakes import fake_server, local_batches, settle


async def test_an_error_in_undoing_an_attempt_ends_the_server(monkeypatch):
    def fail():
        raise ArithmeticError("the buffers cannot be restored")

    async def abandon() -> None:
        async with fake_server() as server:
            server.connect("a")
            runner, exchange, active = (
                StepRunner(server.context),
                ExchangeId(1, 1),
                local_batches(server, {"a": 2}),
            )
            runner.order_forward([messages.OrderForward(exchange, 1, active[0], 0)])
            await settle()
            monkeypatch.setattr(server.context.model, "abandon", fail)
            runner.abandon(messages.AbandonAttempt(exchange, 1, active, "client_lost", "it went"))
            await settle()

    with pytest.raises(ArithmeticError, match="the buffers cannot be restored"):
        await abandon()


async def test_an_error_in_work_beside_a_block_ends_the_block():
    async def fail() -> None:
        raise ArithmeticError("no heartbeat")

    with pytest.raises(ArithmeticError, match="no heartbeat"):
        async with in_background(fail()):
            await asyncio.Event().wait()


async def test_work_beside_a_block_ends_with_it_and_the_blocks_own_error_is_raised_as_itself():
    with pytest.raises(KeyError):
        async with in_background(asyncio.sleep(3600)):
            raise KeyError("own")
    async with in_background(asyncio.sleep(3600)):
        pass


async def test_an_error_in_a_task_that_is_being_stopped_is_logged(caplog):
    async def fail_at_the_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("disk full")

    task = asyncio.create_task(fail_at_the_end())
    await settle()
    with caplog.at_level(logging.ERROR):
        await cancel_and_wait(task)
    assert "disk full" in caplog.text
