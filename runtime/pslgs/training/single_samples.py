"""Error message for batches of a single sample, on which BatchNorm over vectors cannot train."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # the base class, which has no public name

from pslgs.spec.errors import InputError


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
