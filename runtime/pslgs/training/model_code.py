"""Exceptions of a model's own code, in passes over data: sentences that name the part and its inputs."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

from torch import Tensor

from pslgs.spec.entrypoints import user_code

MODEL: Final = "spec.model"
CLIENT_PART: Final = "client part"
SERVER_PART: Final = "server part"
WHOLE_MODEL: Final = "network"


def forward_pass(part: str, inputs: Sequence[Tensor]) -> AbstractContextManager[None]:
    """Report exceptions of a forward pass in the block, with the shapes of its inputs.

    Args:
        part: Name of the part, such as `CLIENT_PART`.
        inputs: The tensors that it is called with; shape (rows, …) each.

    Raises:
        InputError: the block raised an exception.
    """

    def problem(cause: str) -> str:
        shown = " and ".join(f"{list(tensor.shape)} ({_dtype(tensor)})" for tensor in inputs)
        return f"has a {part} that fails on inputs of shape {shown} with {cause}"

    return user_code(MODEL, problem)


def backward_pass(part: str) -> AbstractContextManager[None]:
    """Report exceptions of a backward pass in the block, for example of a `torch.autograd.Function`.

    Raises:
        InputError: the block raised an exception.
    """
    return user_code(MODEL, f"has a {part} whose backward pass fails with {{}}".format)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
