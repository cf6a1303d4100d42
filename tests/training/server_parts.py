"""Server parts that depend on more than one row, that draw random numbers, or that fail in one process."""

import multiprocessing
import os
import signal
import threading
from collections import OrderedDict

import torch
from torch import Tensor, nn

FEATURES = 5
POISON = 1000.0
"""Smashed data above this are what a layer cannot stand."""


def behind_a_cut(*layers: nn.Module) -> nn.Module:
    """A client part of two layers, then ``layers``, then an output for each of three classes."""
    first = OrderedDict(first=nn.Linear(FEATURES, 4), act=nn.Identity())
    return nn.Sequential(first | OrderedDict(body=nn.Sequential(*layers), head=nn.Linear(4, 3))).double()


def dropout() -> nn.Module:
    return behind_a_cut(nn.Dropout(0.5))


def momentless() -> nn.Module:
    """BatchNorm without momentum, and one without running statistics and parameters."""
    return behind_a_cut(
        nn.BatchNorm1d(4, momentum=None), nn.BatchNorm1d(4, affine=False, track_running_stats=False)
    )


class Branch(nn.Module):
    """One of two layers for each row, and a third that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.never = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        is_high = x[:, 0] > 0
        result = torch.zeros_like(x)
        for chosen, layer in ((is_high, self.high), (~is_high, self.low)):
            if chosen.any():
                result = result.masked_scatter(chosen.unsqueeze(1), layer(x[chosen]))
        return result


def branch() -> nn.Module:
    return behind_a_cut(Branch())


class MeanOfTheBatch(nn.Module):
    """Batch statistics in a buffer, by another layer than torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.copy_(x.detach().mean(dim=0))
        return x - self.mean


def mean_of_the_batch() -> nn.Module:
    return behind_a_cut(MeanOfTheBatch())


class Refusing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.max() > POISON:
            raise ValueError("poison")
        return x


def refusing() -> nn.Module:
    return behind_a_cut(Refusing(), nn.BatchNorm1d(4))


class Fatal(nn.Module):
    """Kills a process that the first one has started, as the kernel does when memory runs out."""

    def forward(self, x: Tensor) -> Tensor:
        if x.max() > POISON and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return x


def fatal() -> nn.Module:
    return behind_a_cut(Fatal(), nn.BatchNorm1d(4))


class Orphaned(nn.Module):
    """In a process that a started process has started, kills that one, and waits for ever."""

    def forward(self, x: Tensor) -> Tensor:
        parent = multiprocessing.parent_process()
        if parent is not None and parent.name != "MainProcess":
            os.kill(parent.pid, signal.SIGKILL)
            threading.Event().wait()
        return x


def orphaned() -> nn.Module:
    return behind_a_cut(Orphaned())
