"""Profile of a cut network: parameters, FLOPs and activation sizes of both parts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from pslgs.model_inputs import InputShape, call, elements, zeros
from pslgs.splitting.layout import SmashedLayout, infer_layout
from pslgs.splitting.split_network import SplitNetwork
from pslgs.splitting.train_mode import set_mode
from pslgs.training.tensors import gradient_elements, parameter_elements


@dataclass(frozen=True, slots=True)
class NetworkProfile:
    """Sizes and costs of the two parts of a network.

    Attributes:
        smashed: Layout of the smashed data of one sample.
        output_shape: Shape of the network's output for one sample.
        input_elements: Number of elements in one sample.
        client_parameters: Number of elements in the client part's parameters and buffers, which the server
            sends to each active client in a step.
        client_gradients: Number of elements in the client part's gradients, which each active client sends
            to the server in a step.
        server_parameters: Number of elements in the server part's parameters and buffers.
        server_gradients: Number of elements in the server part's gradients.
        client_flops: Floating-point operations of the client part's forward pass, per sample.
        server_flops: Floating-point operations of the server part's forward pass, per sample.
        activation_bytes: Bytes that the client part saves for its backward pass, per sample.
        server_activation_bytes: Bytes that the server part saves for its backward pass, per sample.
    """

    smashed: SmashedLayout
    output_shape: tuple[int, ...]
    input_elements: int
    client_parameters: int
    client_gradients: int
    server_parameters: int
    server_gradients: int
    client_flops: int
    server_flops: int
    activation_bytes: int
    server_activation_bytes: int


def profile_network(
    network: SplitNetwork, input_shape: InputShape, input_dtype: torch.dtype | None = None
) -> NetworkProfile:
    """Profile a network by forward passes of two and of three samples of zeros; the network does not change.

    Figures per sample are the difference between the two passes, so they contain nothing that does not
    grow with the batch size.

    Args:
        network: The split network.
        input_shape: Shape of one sample, without the batch dimension.
        input_dtype: Type of a single input; None for that of the client part's parameters.

    Raises:
        InputError: the network does not accept such samples, or cannot be trained with this cut.
    """
    found = infer_layout(network, input_shape, input_dtype)
    example = _Example(input_shape, input_dtype or next(network.client_part.parameters()).dtype)
    with (
        set_mode(network.client_part, training=True),  # activations are saved as in training
        set_mode(network.server_part, training=False),  # BatchNorm's statistics do not change
        torch.random.fork_rng(devices=[]),
    ):
        two, three = (_measure(network, example, batch) for batch in (2, 3))
    return NetworkProfile(
        found.smashed,
        found.output_shape,
        elements(input_shape),
        parameter_elements(network.client_part),
        gradient_elements(network.client_part),
        parameter_elements(network.server_part),
        gradient_elements(network.server_part),
        *(more - fewer for more, fewer in zip(three, two, strict=True)),
    )


class _Example(NamedTuple):
    shape: InputShape
    dtype: torch.dtype


def _measure(network: SplitNetwork, example: _Example, batch: int) -> tuple[int, int, int, int]:
    """Return the FLOPs of client part and server part, and the bytes that they save for the backward pass."""
    device = next(network.client_part.parameters()).device
    samples = zeros(example.shape, batch, example.dtype, device)
    smashed, client_flops, client_bytes = _forward(network.client_part, lambda part: call(part, samples))
    received = (smashed,) if isinstance(smashed, Tensor) else smashed
    leaves = [tensor.detach().requires_grad_() for tensor in received]
    _, server_flops, server_bytes = _forward(network.server_part, lambda part: part(*leaves))
    return client_flops, server_flops, client_bytes, server_bytes


def _forward(part: nn.Module, run: Callable[[nn.Module], Any]) -> tuple[Any, int, int]:
    """Return the outputs of a part, its FLOPs and the bytes that it saves, parameters and buffers aside."""
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor  # views share memory; the address is 0 on meta
        return tensor

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = run(part)
    own = _storages(part)
    activations = sum(each.untyped_storage().nbytes() for key, each in saved.items() if key not in own)
    return outputs, counter.get_total_flops(), activations


def _storages(part: nn.Module) -> set[int]:
    return {tensor.untyped_storage()._cdata for tensor in (*part.parameters(), *part.buffers())}
