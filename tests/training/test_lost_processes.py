"""What ends a process of the server part ends the model, at once and with its reason."""

import multiprocessing
import os
import select
import signal
from datetime import timedelta

import pytest
import torch

from exactness import small_job
from pslgs.spec import InputError
from pslgs.training import collectives, worker_processes
from pslgs.training.collectives import ProcessLostError
from pslgs.training.worker_processes import start_workers
from training.server_parts import POISON
from training.several_processes import CPU, Batch, model_of, part_spec

pytestmark = pytest.mark.slow


@pytest.fixture
def two():
    """Two processes for a test that ends them."""
    started = start_workers([CPU] * 2)
    yield started
    started.close()


async def test_a_killed_process_is_noticed_and_named(two):
    model = model_of(small_job.job_spec(), two)
    batch = Batch(model, 9)
    batch.train(model)
    [child] = multiprocessing.active_children()
    os.kill(child.pid, signal.SIGKILL)
    words = r"process 1 of the server part, on cpu, was killed by SIGKILL, perhaps for lack of memory"
    with pytest.raises(ProcessLostError, match=words):
        await two.watch()
    with pytest.raises(ProcessLostError, match=words):
        batch.train(model)


def test_a_process_that_is_killed_in_a_step_is_no_error_of_the_model(two):
    model = model_of(part_spec("fatal"), two)
    batch = Batch(model, 9)
    batch.train(model)
    batch.smashed[-1] = 2 * POISON
    with pytest.raises(ProcessLostError, match="process 1 of the server part, on cpu, was killed by SIGKILL"):
        batch.train(model)


def test_a_process_that_stands_still_is_given_up(monkeypatch):
    monkeypatch.setattr(collectives, "TIMEOUT", timedelta(seconds=10))  # within which the processes must meet
    monkeypatch.setattr(worker_processes, "_EXPLAINED_SECONDS", 0.1)
    workers = start_workers([CPU] * 2)
    try:
        model = model_of(small_job.job_spec(), workers)
        [child] = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(ProcessLostError, match=r"of the server part lost touch: .*Timed out"):
            Batch(model, 9).train(model)
    finally:
        workers.close()


@pytest.mark.parametrize("row", [0, -1], ids=["in the first process", "in another process"])
def test_an_error_of_the_model_is_told_from_whichever_process(row, two):
    model = model_of(part_spec("refusing"), two)
    batch = Batch(model, 9)
    batch.smashed[row] = 2 * POISON
    with pytest.raises(InputError, match=r"spec.model: has a server part that fails on .*ValueError: poison"):
        batch.train(model)
    for child in multiprocessing.active_children():
        child.join(60)
        assert child.exitcode is not None


def test_a_buffer_that_each_process_would_have_for_itself_is_refused(two):
    model = model_of(part_spec("mean_of_the_batch"), two)
    with pytest.raises(InputError, match=r"spec.server.gpus: is 2, but .* the buffer 'body.0.mean' of"):
        Batch(model, 9).train(model)


def _train(connection) -> None:
    """Train in a process that is killed meanwhile by its worker."""
    workers = start_workers([CPU] * 2)
    connection.send([child.pid for child in multiprocessing.active_children()])
    connection.recv()
    model = model_of(part_spec("orphaned"), workers)
    Batch(model, 9).train(model)


def test_processes_end_with_the_first_one_whatever_they_do():
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    first = context.Process(target=_train, args=(there,))
    first.start()
    [worker] = map(os.pidfd_open, here.recv())
    here.send("go on")
    first.join()
    assert first.exitcode == -signal.SIGKILL
    assert select.select([worker], [], [], 60) == ([worker], [], [])
    os.close(worker)


def test_a_device_that_does_not_work_is_named():
    with pytest.raises(ProcessLostError, match="process 1 of the server part, on cuda:99, ended with"):
        start_workers([CPU, torch.device("cuda:99")])
    assert not multiprocessing.active_children()
