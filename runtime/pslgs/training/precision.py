"""The number format in which a part of the network computes."""

from contextlib import AbstractContextManager, nullcontext

import torch

from pslgs.spec.training import Precision


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Compute inside a ``with`` block in a precision.

    With BFloat16, torch's autocast chooses the operations that compute in it; parameters, gradients and what
    crosses the cut keep their type.
    """
    if precision is Precision.FULL:
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
