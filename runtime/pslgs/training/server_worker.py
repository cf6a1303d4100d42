"""A further process of the server part: computes its rows of each batch, as the first process says."""

import logging
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NoReturn

import torch
from torch import Tensor, nn

from pslgs.logs import configure_logging
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.training.collectives import (
    Group,
    ProcessLostError,
    receive_from_first,
    send_to_first,
    share_tensors,
    sum_gradients,
)
from pslgs.training.global_batchnorm import GlobalBatchNorm
from pslgs.training.server_passes import LocalPasses
from pslgs.training.setup import TrainingSetup, job_network
from pslgs.training.tensors import trainable
from pslgs.training.torch_thread import configure_torch

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Build:
    """Build the network of a job; its weights follow with `TakeWeights`."""

    spec: JobSpec
    task: TrainingSetup


@dataclass(frozen=True, slots=True)
class TakeWeights:
    """Receive all parameters and buffers of the server part."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Compute the rows of a step's global batch.

    Attributes:
        counts: Number of rows of each process.
        step: Number of the step.
        compare: Whether to send the sums of the buffers afterwards.
    """

    counts: tuple[int, ...]
    step: int
    compare: bool


@dataclass(frozen=True, slots=True)
class Backward:
    """Compute the gradients of the last `Forward`."""


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Compute rows in evaluation mode.

    Attributes:
        counts: Number of rows of each process.
    """

    counts: tuple[int, ...]


Command = Build | TakeWeights | Forward | Backward | Evaluate


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker is about to join the group."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a worker ends.

    Attributes:
        message: Type and text of the exception.
        bad_input: The exception if it is an error of the input.
        is_consequence: Whether it is only that another process could not be reached.
    """

    message: str
    bad_input: InputError | None
    is_consequence: bool


def run_worker(group: Group, threads: int, connection: Connection) -> NoReturn:
    """Follow commands until the first process ends, in a process that `multiprocessing` has started.

    Args:
        group: The processes.
        threads: Number of threads per operation.
        connection: Brings each `Command`, and takes a `Ready` or a `Failure`.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a whole session may get them, but the first process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    configure_logging()
    configure_torch(threads)
    try:
        device = torch.device(group.device)
        torch.empty(1, device=device)  # a device that does not work is found before others wait for it
        connection.send(Ready())
        group.join()
        _Worker(group.rank, device).follow(connection)
    except Exception as error:
        # The outermost frame: the first process says what happened.
        if not isinstance(error, InputError | ProcessLostError):
            _logger.exception("process %d of the server part failed", group.rank)
        details = " ".join(str(error).split())
        bad_input = error if isinstance(error, InputError) else None
        is_consequence = isinstance(error, ProcessLostError)
        with suppress(OSError):  # the first process has ended, and nobody wants to know
            connection.send(Failure(f"{type(error).__name__}: {details}", bad_input, is_consequence))
        _end(1)
    _end(0)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    _end(1)


def _end(code: int) -> NoReturn:
    """End at once: to leave the group in order, the others would have to take part."""
    os._exit(code)


class _Worker:
    """The server part in a process of rank 1 or more."""

    def __init__(self, rank: int, device: torch.device) -> None:
        self._rank = rank
        self._device = device

    def follow(self, connection: Connection) -> None:
        """Carry out commands until the first process closes its end of the connection."""
        while True:
            try:
                command: Command = connection.recv()
            except EOFError:
                return
            self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case Build(spec, task):
                self._task = task
                self._part = job_network(spec).server_part.to(self._device)
                self._passes = LocalPasses(self._part, task, self._device, self._rank)
            case TakeWeights():
                share_tensors(weights_of(self._part))
            case Forward(counts, step, compare):
                rows = self._rows(counts)
                with GlobalBatchNorm():
                    outputs = self._passes.forward(rows, step)
                send_to_first(outputs)
                if compare:
                    send_to_first(buffer_sums(self._part))
                self._outputs = outputs
            case Backward():
                gradient = receive_from_first(torch.empty_like(self._outputs))
                send_to_first(self._passes.backward(gradient))
                sum_gradients(trainable(self._part))
            case Evaluate(counts):
                rows = self._rows(counts)
                with GlobalBatchNorm():
                    outputs = self._passes.evaluate(self._part, rows)
                send_to_first(outputs)

    def _rows(self, counts: tuple[int, ...]) -> Tensor:
        layout = self._task.layout
        shape = counts[self._rank], layout.features
        return receive_from_first(torch.empty(shape, dtype=layout.dtype, device=self._device))


def weights_of(part: nn.Module) -> list[Tensor]:
    """Return the parameters and buffers of a part (not copies), in the same order in each process."""
    return [*part.parameters(), *part.buffers()]


@torch.no_grad()
def buffer_sums(part: nn.Module) -> Tensor:
    """Return the sum of each buffer, by which those of two processes can be compared; shape (1, buffers)."""
    sums = [buffer.double().sum() for buffer in part.buffers()]
    return torch.stack(sums).unsqueeze(0) if sums else torch.empty(1, 0, dtype=torch.float64)
