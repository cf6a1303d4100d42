"""Parameters and gradients as flat vectors, and the slices of a local batch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from typing_extensions import override


def floating_tensors(part: nn.Module) -> list[Tensor]:
    """Return a part's floating-point parameters and buffers (not copies) in order of registration.

    Integer buffers are left out, because they do not change in training.
    """
    tensors = [*part.parameters(), *part.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]


def trainable(part: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that require gradients, in order of registration."""
    return [parameter for parameter in part.parameters() if parameter.requires_grad]


def concatenated(tensors: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Concatenate the elements of ``tensors`` to a new vector on the CPU; shape (elements,)."""
    flat = [tensor.detach().reshape(-1).to("cpu", dtype) for tensor in tensors]
    return torch.cat(flat) if flat else torch.empty(0, dtype=dtype)


def split_like(vector: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return views of a vector (elements,) with the shapes of ``tensors``; the inverse of `concatenated`."""
    pieces = torch.split(vector, [tensor.numel() for tensor in tensors])
    return [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]


def magnitude(tensor: Tensor) -> float:
    """Return the largest absolute value, in one pass; infinite or NaN if any value is not finite."""
    if not tensor.numel():
        return 0.0
    low, high = torch.aminmax(tensor.detach())  # both are NaN if any value is
    return max(-low.item(), high.item())


@torch.no_grad()
def load_vector(tensors: Sequence[Tensor], vector: Tensor) -> None:
    """Copy a vector of concatenated tensors, such as `floating_tensors` of a part, into them."""
    for tensor, piece in zip(tensors, split_like(vector, tensors), strict=True):
        tensor.copy_(piece)


def parameter_elements(part: nn.Module) -> int:
    """Return the number of elements in a part's `floating_tensors`."""
    return sum(tensor.numel() for tensor in floating_tensors(part))


def gradient_elements(part: nn.Module) -> int:
    """Return the number of elements in a part's `trainable` parameters."""
    return sum(parameter.numel() for parameter in trainable(part))


SLICE_BYTES = 4 << 20
"""Maximum bytes of smashed data per slice: several chunks on the wire, and large enough to compute fast."""


def slice_rows(samples: int, bytes_per_sample: int) -> list[tuple[int, int]]:
    """Divide a local batch into slices whose sizes differ by at most one sample.

    Client and server, and repeated runs, use the same slices, because the last bits of the summed gradient
    depend on them.

    Args:
        samples: Number of samples in the local batch.
        bytes_per_sample: Size of one sample's smashed data in bytes.

    Returns:
        For each slice, the position of its first sample and its number of samples.
    """
    max_rows = max(1, SLICE_BYTES // max(1, bytes_per_sample))
    slices = -(-samples // max_rows)
    edges = [samples * i // slices for i in range(slices + 1)] if slices else [0]
    return [(first, stop - first) for first, stop in pairwise(edges)]


def overlapped(one: float, other: float, slices: int) -> float:
    """Return the duration of two pipelined activities, max + min / slices, in the unit of the arguments.

    The second activity processes a slice while the first processes the next one, so that the slower of the
    two waits for only one slice of the faster.

    Args:
        one: Duration of one activity by itself.
        other: Duration of the other activity by itself.
        slices: Number of slices.
    """
    return max(one, other) + min(one, other) / max(1, slices)


def scalar_with_gradient(outputs: Tensor, gradient: Tensor) -> Tensor:
    """Return a scalar whose gradient with respect to ``outputs`` is ``gradient``, of the same shape.

    To be given to torch's backward passes, which import sympy, 36 MB, if they are given the gradient itself.
    """
    scalar: Tensor = _Scalar.apply(outputs, gradient)
    return scalar


class _Scalar(Function):
    @staticmethod
    @override
    def forward(ctx: Any, outputs: Tensor, gradient: Tensor) -> Tensor:
        ctx.gradient = gradient
        return outputs.new_zeros(())

    @staticmethod
    @override
    def backward(ctx: Any, *_: Any) -> tuple[Tensor, None]:
        return ctx.gradient, None
