"""Re-estimation of the server part's BatchNorm statistics for an evaluation.

Running statistics have a momentum of 0.1, so they are determined by the last few dozen batches.  If these
contain a few classes only, the statistics differ from those of the pooled data, and an evaluation
underestimates the model.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # the base class, which has no public name

from pslgs.splitting.modes import mode_of


def batch_norms(part: nn.Module) -> list[_BatchNorm]:
    """Return the BatchNorm layers of a part that keep running statistics."""
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
    """Average the statistics over all batches with equal weights, instead of exponentially."""
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
