"""What a cut network is made of, found out without computing: on torch's meta device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from pslgs.splitting.modes import mode_of
from pslgs.splitting.smashed import SmashedLayout, probe
from pslgs.splitting.split import SplitNetwork
from pslgs.training.vectors import gradient_elements, parameter_elements


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The two parts of a network in numbers.

    Attributes:
        smashed: What crosses the cut for one sample.
        output_shape: Of the network's output for one sample.
        input_elements: Numbers of one sample.
        client_parameters: Numbers in the client part, its buffers included; so many travel down.
        client_gradients: Numbers in the client part that are trained; so many travel up.
        server_parameters: Numbers in the server part, its buffers included.
        client_flops: Floating-point operations of the client part's forward of one sample.
        server_flops: Likewise.
        activation_bytes: What the client part saves of one sample for its backward.
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


def dissect(network: SplitNetwork, input_shape: Sequence[int]) -> Anatomy:
    """Look into a network by forwards of two and of three blank samples; it stays the same.

    Figures of a sample are the difference of the two, so what does not grow with the batch is left out.

    Raises:
        InputError: the network cannot take such samples or cannot be trained when cut there.
    """
    found = probe(network, input_shape)
    with (
        mode_of(network.client_part, training=True),  # as its activations are saved
        mode_of(network.server_part, training=False),  # so that BatchNorm's statistics stay
        torch.random.fork_rng(devices=[]),
    ):
        two, three = (_rehearse(network, input_shape, batch) for batch in (2, 3))
    return Anatomy(
        found.smashed,
        found.output_shape,
        math.prod(input_shape),
        parameter_elements(network.client_part),
        gradient_elements(network.client_part),
        parameter_elements(network.server_part),
        *(more - fewer for more, fewer in zip(three, two, strict=True)),
    )


def _rehearse(network: SplitNetwork, input_shape: Sequence[int], batch: int) -> tuple[int, int, int]:
    """Return the FLOPs of both parts and the bytes that the client part saves."""
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
