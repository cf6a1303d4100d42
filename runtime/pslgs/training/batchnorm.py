"""Batch normalisation of the server part: recalibrated statistics, and batches of one sample."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # the base class, which has no public name

from pslgs.spec.errors import InputError
from pslgs.splitting.freezing import is_frozen
from pslgs.splitting.train_mode import set_mode
from pslgs.training.model_code import SERVER_PART, forward_pass


def batch_norms(part: nn.Module) -> list[_BatchNorm]:
    """Return the BatchNorm layers of a part that update running statistics in training."""
    return [
        module
        for module in part.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and not is_frozen(module)
    ]


def batch_norm_statistics(part: nn.Module, batches: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """Estimate the BatchNorm statistics of ``part`` as their mean over ``batches`` of its arguments.

    Only BatchNorm layers run in training mode, so there is no randomness; the part is left unchanged.
    """
    norms = batch_norms(part)
    with using_statistics(part, _buffers(norms)), set_mode(part, training=False):
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        with torch.no_grad(), _plain_means(norms):
            for arguments in batches:
                with forward_pass(SERVER_PART, arguments):
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


@contextmanager
def single_sample_explained(part: nn.Module, samples: int, batch: str) -> Iterator[None]:
    """Translate torch's error about a batch of a single sample, raised in the block, to an `InputError`.

    BatchNorm over vectors estimates a variance over samples, which is undefined for a single one.

    Args:
        part: The network part that is trained in the block.
        samples: Number of samples in the batch.
        batch: Name of the batch in the message, e.g. ``step 12``.

    Raises:
        InputError: the batch is a single sample and the part has a BatchNorm that refused it.
    """
    try:
        yield
    except ValueError as error:
        if samples > 1 or not any(isinstance(layer, _BatchNorm) for layer in part.modules()):
            raise
        raise InputError.at(
            "spec.sampling",
            f"gives {batch} a single sample, on which BatchNorm over vectors cannot train; set a "
            "globalBatchSize above 1 and the strategy Global or LatentDirichlet, whose batches have nearly "
            "equal sizes, or choose a model without BatchNorm1d after the cut",
        ) from error
