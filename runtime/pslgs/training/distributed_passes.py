"""Forward and backward of the server part over several processes, each with a part of the rows."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.training.collectives import (
    join_rows,
    row_counts,
    send_rows,
    share_tensors,
    sum_gradients,
)
from pslgs.training.global_batchnorm import GlobalBatchNorm
from pslgs.training.server_passes import LocalPasses, ServerPasses
from pslgs.training.server_worker import (
    Backward,
    Build,
    Evaluate,
    Forward,
    TakeWeights,
    buffer_sums,
    weights_of,
)
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import trainable
from pslgs.training.worker_processes import WorkerProcesses

GPUS = "spec.server.gpus"


class DistributedPasses(ServerPasses):
    """The passes of this process and its workers.

    Each process computes a range of the rows, with the same weights.  The outputs of all rows are joined
    here, so the loss is that of the whole global batch, whatever its mean is taken over, and each process
    gets its rows of the gradient.  The gradients of the parameters are added here.  Workers get the weights
    again after each update, so they equal those of this process to the bit.

    A batch with fewer rows than processes is computed here.
    """

    def __init__(self, workers: WorkerProcesses, spec: JobSpec, task: TrainingSetup, part: nn.Module) -> None:
        """Let the workers build the network of a job; ``part`` is its server part in this process.

        Raises:
            ProcessLostError: a worker has ended.
        """
        self._workers = workers
        self._part = part.to(workers.device)
        self._local = LocalPasses(self._part, task, workers.device)
        self._counts: tuple[int, ...] = ()
        self._shared: nn.Module | None = None
        self._compared = False
        with workers.together():
            workers.command(Build(spec, task))

    @override
    def forward(self, smashed: Tensor, step: int) -> Tensor:
        self._counts = self._divided(smashed)
        if not self._counts:
            return self._local.forward(smashed, step)
        with self._workers.together():
            self._share(self._part)
            self._workers.command(Forward(self._counts, step, compare=not self._compared))
            rows = send_rows(smashed.to(self._workers.device), self._counts)
            with GlobalBatchNorm():
                own = self._local.forward(rows, step)
            outputs = join_rows(own, self._counts)
            if not self._compared:
                self._compare_buffers()
        return outputs

    @override
    def backward(self, gradient: Tensor) -> Tensor:
        if not self._counts:
            return self._local.backward(gradient)
        with self._workers.together():
            self._workers.command(Backward())
            own = self._local.backward(send_rows(gradient, self._counts))
            return join_rows(own, self._counts)

    @override
    def reduce_gradients(self) -> None:
        if self._counts:
            with self._workers.together():
                sum_gradients(trainable(self._part))

    @override
    def evaluate(self, part: nn.Module, smashed: Tensor) -> Tensor:
        counts = self._divided(smashed)
        if not counts:
            return self._local.evaluate(part, smashed)
        with self._workers.together():
            self._share(part)
            self._workers.command(Evaluate(counts))
            rows = send_rows(smashed.to(self._workers.device), counts)
            with GlobalBatchNorm():
                own = self._local.evaluate(part, rows)
            return join_rows(own, counts)

    @override
    def weights_changed(self) -> None:
        self._shared = None

    def _divided(self, smashed: Tensor) -> tuple[int, ...]:
        """Return the number of rows of each process; empty if there are not enough for all."""
        processes = self._workers.size
        return row_counts(len(smashed), processes) if len(smashed) >= processes else ()

    def _share(self, part: nn.Module) -> None:
        """Send the weights of a part to the workers, unless they have them."""
        if self._shared is part:
            return
        self._workers.command(TakeWeights())
        share_tensors(weights_of(part))
        self._shared = part

    def _compare_buffers(self) -> None:
        """Check after the first step that no process has buffers of its own.

        Raises:
            InputError: a layer computes one from the rows of its process.
        """
        own = buffer_sums(self._part)
        sums = join_rows(own, [1] * self._workers.size)
        alike = torch.isclose(sums, own, equal_nan=True).all(dim=0).tolist()
        for (name, _), is_alike in zip(self._part.named_buffers(), alike, strict=True):
            if not is_alike:
                raise InputError.at(
                    GPUS,
                    f"is {self._workers.size}, but another layer than BatchNorm computes the buffer '{name}' "
                    "of the server part from the samples of a batch, and each GPU would have its own; give 1",
                )
        self._compared = True
