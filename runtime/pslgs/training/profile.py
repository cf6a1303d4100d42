"""Profile of a cut network: parameters, FLOPs and activation sizes of both parts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

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
        client_flops: Floating-point operations of the client part's forward pass, per sample.
        server_flops: Floating-point operations of the server part's forward pass, per sample.
        activation_bytes: Bytes that the client part saves for its backward pass, per sample.
    """

    smashed: SmashedLayout
    output_shape: tuple[int, ...]
    input_elements: int
    client_parameters: int
    client_gradients: int
    server_parameters: int
    client_flops: int
    server_flops: int
    activation_bytes: int


def profile_network(network: SplitNetwork, input_shape: Sequence[int]) -> NetworkProfile:
    """Profile a network by forward passes of two and of three samples of zeros; the network does not change.

    Figures per sample are the difference between the two passes, so they contain nothing that does not
    grow with the batch size.

    Args:
        network: The split network.
        input_shape: Shape of one sample, without the batch dimension.

    Raises:
        InputError: the network does not accept such samples, or cannot be trained with this cut.
    """
    found = infer_layout(network, input_shape)
    with (
        set_mode(network.client_part, training=True),  # activations are saved as in training
        set_mode(network.server_part, training=False),  # BatchNorm's statistics do not change
        torch.random.fork_rng(devices=[]),
    ):
        two, three = (_measure(network, input_shape, batch) for batch in (2, 3))
    return NetworkProfile(
        found.smashed,
        found.output_shape,
        math.prod(input_shape),
        parameter_elements(network.client_part),
        gradient_elements(network.client_part),
        parameter_elements(network.server_part),
        *(more - fewer for more, fewer in zip(three, two, strict=True)),
    )


def _measure(network: SplitNetwork, input_shape: Sequence[int], batch: int) -> tuple[int, int, int]:
    """Return the FLOPs of the client part and of the server part, and the bytes saved by the client part."""
    parameter = next(network.client_part.parameters())
    samples = torch.zeros(batch, *input_shape, dtype=parameter.dtype, device=parameter.device)
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor  # views share memory; the address is 0 on meta
        return tensor

    with FlopCounterMode(display=False) as client, saved_tensors_hooks(keep, lambda tensor: tensor):
        smashed = network.client_part(samples)
    received = (smashed,) if isinstance(smashed, Tensor) else smashed
    with torch.no_grad(), FlopCounterMode(display=False) as server:
        network.server_part(*(tensor.detach() for tensor in received))
    own = _storages(network.client_part)
    activations = sum(each.untyped_storage().nbytes() for key, each in saved.items() if key not in own)
    return client.get_total_flops(), server.get_total_flops(), activations


def _storages(part: nn.Module) -> set[int]:
    return {tensor.untyped_storage()._cdata for tensor in (*part.parameters(), *part.buffers())}
