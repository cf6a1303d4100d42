"""A job that asks for a GPU trains without one too, and says so."""

import pytest
import torch

from pslgs.server.device import device_for


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("name", "built", "why"),
    [
        pytest.param("auto", "13.2", "torch finds no CUDA device", id="no device"),
        pytest.param("auto", None, "this build of torch is without CUDA", id="CPU build"),
        pytest.param("cpu", "13.2", "--device is cpu", id="asked for"),
    ],
)
def test_what_keeps_a_job_off_its_gpu_is_said(name, built, why, no_cuda, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", built)
    device, lack = device_for(name, 1)
    assert device.type == "cpu"
    assert lack == f"spec.server.gpus is 1, but {why}; training on the CPU"


def test_a_job_that_asks_for_no_gpu_hears_nothing(no_cuda):
    assert device_for("auto", 0) == (torch.device("cpu"), None)


def test_a_gpu_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for("auto", 1) == (torch.device("cuda"), None)
