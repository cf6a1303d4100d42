"""The client part's parameters and gradients as single vectors, as they travel."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def floating_tensors(part: nn.Module) -> list[Tensor]:
    """List a part's parameters and buffers in order of registration; integer ones are constants."""
    tensors = [*part.parameters(), *part.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]


def trainable(part: nn.Module) -> list[nn.Parameter]:
    """List the parameters that have gradients, in order of registration."""
    return [parameter for parameter in part.parameters() if parameter.requires_grad]


def concatenated(tensors: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Flatten ``tensors`` into one new vector on the CPU; shape (elements,)."""
    flat = [tensor.detach().reshape(-1).to("cpu", dtype) for tensor in tensors]
    return torch.cat(flat) if flat else torch.empty(0, dtype=dtype)


def split_like(vector: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Cut a vector (elements,) into views of the shapes of ``tensors``."""
    pieces = torch.split(vector, [tensor.numel() for tensor in tensors])
    return [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]


@torch.no_grad()
def load_vector(part: nn.Module, vector: Tensor) -> None:
    """Copy a vector of `floating_tensors` into the part."""
    tensors = floating_tensors(part)
    for tensor, piece in zip(tensors, split_like(vector, tensors), strict=True):
        tensor.copy_(piece)


def parameter_elements(part: nn.Module) -> int:
    """Count the numbers in a vector of `floating_tensors`."""
    return sum(tensor.numel() for tensor in floating_tensors(part))


def gradient_elements(part: nn.Module) -> int:
    """Count the numbers in a vector of the gradients of `trainable`."""
    return sum(parameter.numel() for parameter in trainable(part))
