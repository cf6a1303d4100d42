"""Whole processes of servers and clients under random faults, in one event loop and in virtual time."""

import asyncio
import logging

import pytest

from pslgs.coordination.epoch import Epoch
from pslgs.server.step_runner import StepRunner
from virtual_processes.checks import check
from virtual_processes.faults import scenario
from virtual_processes.loop import NothingLeftError, run

SEEDS = 20


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_job_survives_its_faults(seed, tmp_path):
    check(scenario(seed), tmp_path)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(tmp_path):
    first, second = (check(scenario(5), tmp_path / name) for name in "ab")
    assert [(each.kind, each.time) for each in first.records] == [
        (each.kind, each.time) for each in second.records
    ]


@pytest.mark.slow
def test_a_step_that_is_computed_from_another_attempt_is_noticed(tmp_path, monkeypatch):
    original = StepRunner._update

    def forgets(runner, buffers, effect):
        buffers.gradients = lambda: {
            client: 0 * each for client, each in type(buffers).gradients(buffers).items()
        }
        return original(runner, buffers, effect)

    monkeypatch.setattr(StepRunner, "_update", forgets)
    with pytest.raises(AssertionError):
        check(scenario(4), tmp_path)


@pytest.mark.slow
def test_a_sample_that_is_used_twice_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(Epoch, "remaining", lambda _epoch, _client, samples: samples)
    with pytest.raises(AssertionError):
        check(scenario(5), tmp_path)


def test_time_passes_only_when_nothing_else_is_left_to_do():
    async def main():
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - begun

    assert run(main()) == pytest.approx(3600)


def test_a_wait_that_nothing_ends_is_an_error():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingLeftError):
        run(main())
