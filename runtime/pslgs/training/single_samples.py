"""Batches of one sample, on which some networks cannot train."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # the base of its kinds; torch has no public name for it

from pslgs.spec.errors import InputError


@contextmanager
def single_sample_explained(part: nn.Module, samples: int, batch: str) -> Iterator[None]:
    """Say what to do where a forward in the block fails because its batch is a single sample.

    BatchNorm over vectors estimates a variance over samples, and of a single one there is none.

    Args:
        part: That is trained in the block.
        samples: Of the batch.
        batch: What it is called, e.g. ``step 12``.

    Raises:
        InputError: torch refused the batch, and BatchNorm is why.
    """
    try:
        yield
    except ValueError as error:
        if samples > 1 or not any(isinstance(layer, _BatchNorm) for layer in part.modules()):
            raise
        raise InputError.at(
            "spec.sampling",
            f"gives {batch} a single sample, on which BatchNorm over vectors cannot train; choose a "
            "globalBatchSize above 1 and strategy Global or LatentDirichlet, whose batches are all about "
            "that large, or a model without BatchNorm1d behind the cut",
        ) from error
