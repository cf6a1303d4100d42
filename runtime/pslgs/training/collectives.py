"""What the processes that compute the server part together exchange: rows, gradients and weights.

The first process, of rank 0, has the global batch, the optimizer and the weights.  All functions are called
by all processes at once, unless they say otherwise.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from typing_extensions import override

from pslgs.training.tensors import split_like

FIRST: Final = 0
"""Rank of the first process."""
TIMEOUT: Final = timedelta(minutes=10)
"""Time after which a process gives up to wait for another one in the midst of a step."""
_BUCKET_BYTES: Final = 32 << 20
"""Bytes that are copied together to be sent at once: enough that the latency of a message does not matter."""


class ProcessLostError(RuntimeError):
    """A process that computes the server part has ended, or could not be reached."""


@contextmanager
def reaching_others() -> Iterator[None]:
    """Raise the errors of torch.distributed in the block, plain RuntimeErrors, as `ProcessLostError`."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError(" ".join(str(error).split())) from error


@dataclass(frozen=True, slots=True)
class Group:
    """The processes as each of them sees them.

    Attributes:
        rank: Rank of the present process.
        size: Number of processes.
        device: Device of the present process, as text.
        store: File by which they find each other, in a folder that no other user can read.
    """

    rank: int
    size: int
    device: str
    store: Path

    def join(self) -> None:
        """Connect to the other processes, by NCCL if they compute on GPUs and by gloo otherwise.

        Raises:
            ProcessLostError: they cannot be reached.
        """
        # A FileStore opens no port, and both backends open theirs on the loopback interface only.
        loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = loopback
        device = torch.device(self.device)
        on_gpus = device.type == "cuda"
        if on_gpus:
            torch.cuda.set_device(device)
        with reaching_others():
            dist.init_process_group(
                "nccl" if on_gpus else "gloo",
                store=dist.FileStore(str(self.store), self.size),  # type: ignore[attr-defined]
                rank=self.rank,
                world_size=self.size,
                timeout=TIMEOUT,
                device_id=device if on_gpus else None,
            )


def row_counts(rows: int, processes: int) -> tuple[int, ...]:
    """Divide rows into consecutive ranges, one for each process, whose sizes differ by at most one."""
    edges = [rows * rank // processes for rank in range(processes + 1)]
    return tuple(stop - first for first, stop in pairwise(edges))


def send_rows(rows: Tensor, counts: Sequence[int]) -> Tensor:
    """Send each process its rows; only called by the first one, which gets its own as a view."""
    edges = [0, *accumulate(counts)]
    parts = [rows[first:stop].contiguous() for first, stop in pairwise(edges)]
    _exchange([dist.P2POp(dist.isend, part, rank) for rank, part in enumerate(parts) if rank != FIRST])
    return parts[FIRST]


def join_rows(own: Tensor, counts: Sequence[int]) -> Tensor:
    """Receive the rows of the other processes; only called by the first one, with its own rows."""
    whole = own.new_empty((sum(counts), *own.shape[1:]))
    edges = [0, *accumulate(counts)]
    parts = [whole[first:stop] for first, stop in pairwise(edges)]
    _exchange([dist.P2POp(dist.irecv, part, rank) for rank, part in enumerate(parts) if rank != FIRST])
    parts[FIRST].copy_(own)
    return whole


def send_to_first(rows: Tensor) -> None:
    """Send rows to the first process; called by the others."""
    _exchange([dist.P2POp(dist.isend, rows.contiguous(), FIRST)])


def receive_from_first(rows: Tensor) -> Tensor:
    """Receive rows of the first process into ``rows``, and return it; called by the others."""
    _exchange([dist.P2POp(dist.irecv, rows, FIRST)])
    return rows


def _exchange(operations: list[dist.P2POp]) -> None:
    with reaching_others():
        for work in dist.batch_isend_irecv(operations):
            work.wait()


@torch.no_grad()
def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add the gradients of all processes at the first one; the others have none afterwards.

    A parameter that no process used has no gradient, as in a single process.
    """
    if not parameters:
        return
    used = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
    used = used.to(parameters[0].device)
    with reaching_others():
        dist.all_reduce(used, dist.ReduceOp.MAX)
        summed = [each for each, count in zip(parameters, used.tolist(), strict=True) if count]
        for bucket in _buckets(summed):
            gradients = (torch.zeros_like(each) if each.grad is None else each.grad for each in bucket)
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            dist.reduce(flat, FIRST)
            is_first = dist.get_rank() == FIRST
            for parameter, total in zip(bucket, split_like(flat, bucket), strict=True):
                parameter.grad = total if is_first else None


@torch.no_grad()
def share_tensors(tensors: Sequence[Tensor]) -> None:
    """Copy the tensors of the first process into those of the others, in the same order."""
    with reaching_others():
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.detach().reshape(-1) for tensor in bucket])
            dist.broadcast(flat.view(torch.uint8), FIRST)  # as bytes: not every type can be sent
            if dist.get_rank() != FIRST:
                for tensor, piece in zip(bucket, split_like(flat, bucket), strict=True):
                    tensor.copy_(piece)


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield tensors of one type each time, together of `_BUCKET_BYTES` at most if they are several."""
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        bucket: list[Tensor] = []
        size = 0
        for tensor in tensors:
            if tensor.dtype != dtype or not tensor.numel():
                continue
            if bucket and size + tensor.nbytes > _BUCKET_BYTES:
                yield bucket
                bucket, size = [], 0
            bucket.append(tensor)
            size += tensor.nbytes
        if bucket:
            yield bucket


def gathered(row: Tensor) -> Tensor:
    """Return the vectors (elements,) of all processes, (processes, elements), at each of them.

    The gradient of a process's vector is the sum of the gradients that the processes have for it.
    """
    result: Tensor = _Gather.apply(row)
    return result


class _Gather(Function):
    """All-gather; those of torch.distributed.nn are deprecated, and their errors would not be told apart."""

    @staticmethod
    @override
    def forward(_ctx: Any, row: Tensor) -> Tensor:
        rows = [torch.empty_like(row) for _ in range(dist.get_world_size())]
        with reaching_others():
            dist.all_gather(rows, row)
        return torch.stack(rows)

    @staticmethod
    @override
    def backward(_ctx: Any, *gradients: Any) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        with reaching_others():
            dist.all_reduce(total)
        own: Tensor = total[dist.get_rank()]
        return own
