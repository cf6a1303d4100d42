"""BatchNorm statistics of the server part, estimated anew for an evaluation.

A step's batch moves the running statistics by a tenth, so an evaluation sees those of the last few dozen
batches.  Where these hold a few classes only, the statistics are far from the pooled data's, and the model
looks worse than it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # the base of its kinds; torch has no public name for it

from pslgs.splitting.modes import mode_of


def batch_norms(part: nn.Module) -> list[_BatchNorm]:
    """List the layers of a part that keep running statistics."""
    return [
        module for module in part.modules() if isinstance(module, _BatchNorm) and module.track_running_stats
    ]


def batch_norm_statistics(part: nn.Module, batches: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """Estimate the BatchNorm statistics of ``part`` as their mean over ``batches`` of its arguments.

    Only BatchNorm layers run in training mode, so there is no randomness; the part is left unchanged.
    """
    norms = batch_norms(part)
    with using_statistics(part, _buffers(norms)), mode_of(part, training=False):
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        with torch.no_grad(), _plain_means(norms):
            for arguments in batches:
                part(*arguments)
        return [buffer.clone() for buffer in _buffers(norms)]


@contextmanager
def using_statistics(part: nn.Module, statistics: Sequence[Tensor]) -> Iterator[None]:
    """Use other BatchNorm statistics in ``part`` inside the block, and restore its own after it."""
    buffers = _buffers(batch_norms(part))
    before = [buffer.clone() for buffer in buffers]
    _copy(buffers, statistics)
    try:
        yield
    finally:
        _copy(buffers, before)


@contextmanager
def _plain_means(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Have each batch count alike, instead of the last ones most."""
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


def _buffers(norms: Iterable[_BatchNorm]) -> list[Tensor]:
    return [buffer for norm in norms for buffer in norm.buffers()]


@torch.no_grad()
def _copy(buffers: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for buffer, value in zip(buffers, values, strict=True):
        buffer.copy_(value)
