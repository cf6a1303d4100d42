"""Whole trainings over real gRPC whose server part is computed by two processes, on the CPU."""

import multiprocessing
import os
import signal

import pytest
import torch

from pslgs.cli.errors import exit_status_of
from pslgs.server import training_server
from pslgs.spec import ExitCode
from pslgs.telemetry.records import AbortRecord
from pslgs.training.collectives import ProcessLostError
from pslgs.training.distributed_passes import DistributedPasses
from transport import whole_training
from transport.test_trainings_over_grpc import AT_CLIENTS, assert_equals_a_plain_loop
from transport.whole_training import Loss, train_over_grpc

pytestmark = pytest.mark.slow
OPTIONS = {
    "optimizer": {"name": "AdamW", "clipNorm": 0.5},
    "ema": {"decay": 0.8},
    "lossOptions": {"classWeights": [1, 2, 3]},
}


@pytest.fixture
def processes(monkeypatch):
    """A function that sets the number of processes of the servers to come."""
    monkeypatch.setattr(whole_training, "DEADLINE", 120.0)  # they import torch

    def use(number: int) -> None:
        devices = (torch.device("cpu"),) * number
        monkeypatch.setattr(training_server, "server_devices", lambda *_: devices)

    return use


async def test_a_training_equals_a_plain_loop_although_a_client_is_lost(processes, tmp_path):
    processes(2)
    training = await train_over_grpc(tmp_path, Loss("backward", 5), **OPTIONS)
    assert len(training.of(AbortRecord)) == 1
    assert_equals_a_plain_loop(training, tmp_path)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)], ids=["more", "fewer"])
async def test_a_training_goes_on_with_more_or_fewer_processes(numbers, processes, tmp_path):
    for number, epochs in zip(numbers, (1, 3), strict=True):
        processes(number)
        training = await train_over_grpc(tmp_path, epochs=epochs, data=AT_CLIENTS, **OPTIONS)
    assert_equals_a_plain_loop(training, tmp_path)


async def test_a_process_that_is_killed_ends_the_server_so_that_it_is_tried_again(
    processes, tmp_path, monkeypatch
):
    processes(2)
    forward = DistributedPasses.forward

    def forward_and_kill(passes: DistributedPasses, smashed: torch.Tensor, step: int) -> torch.Tensor:
        if step == 3:
            [child] = multiprocessing.active_children()
            os.kill(child.pid, signal.SIGKILL)
        return forward(passes, smashed, step)

    monkeypatch.setattr(DistributedPasses, "forward", forward_and_kill)
    with pytest.raises(ExceptionGroup) as raised:
        await train_over_grpc(tmp_path, **OPTIONS)
    [error] = raised.value.subgroup(ProcessLostError).exceptions
    status = exit_status_of(error)
    assert status.exit_code is ExitCode.INTERNAL_ERROR
    assert "process 1 of the server part, on cpu, was killed by SIGKILL" in status.message
