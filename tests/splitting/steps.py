"""One training step of a network, whole and in two parts, for tests to compare."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pslgs.splitting.layout import SmashedLayout
from pslgs.splitting.split_network import SplitNetwork

SEED = 11


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a step leaves behind."""

    output: Tensor
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]


def whole_step(network: nn.Module, samples: Tensor, *, training: bool) -> Step:
    """Forward and backward of the uncut network."""
    network.train(training)
    torch.manual_seed(SEED)
    output = network(samples)
    output.square().sum().backward()
    return Step(
        output.detach(),
        {name: value.grad for name, value in network.named_parameters() if value.grad is not None},
        {name: value.clone() for name, value in network.named_buffers()},
    )


def split_step(network: SplitNetwork, samples: Tensor, *, training: bool) -> Step:
    """The same step the way it is done between a client and the server: packed smashed data, cut gradient."""
    for part in (network.client_part, network.server_part):
        part.train(training)
    torch.manual_seed(SEED)
    crossing = network.client_part(samples)
    layout = layout_of(crossing)
    smashed = layout.pack(crossing)
    output, cut_gradient = server_step(network.server_part, layout, smashed.detach())
    smashed.backward(cut_gradient)
    tensors = network.named_tensors()
    return Step(
        output,
        {name: value.grad for name, value in tensors.items() if value.grad is not None},
        {name: value.clone() for name, value in tensors.items() if not isinstance(value, nn.Parameter)},
    )


def layout_of(crossing: Tensor | tuple[Tensor, ...]) -> SmashedLayout:
    """Describe what crosses the cut; `probe` does so too, but accepts no BatchNorm in the client part."""
    tensors = (crossing,) if isinstance(crossing, Tensor) else crossing
    return SmashedLayout(tuple(tuple(tensor.shape[1:]) for tensor in tensors), tensors[0].dtype)


def server_step(server_part: nn.Module, layout: SmashedLayout, smashed: Tensor) -> tuple[Tensor, Tensor]:
    """Forward and backward from the smashed data, a leaf as it comes from the wire."""
    leaf = smashed.requires_grad_()
    output = server_part(*layout.unpack(leaf))
    output.square().sum().backward()
    assert leaf.grad is not None
    return output.detach(), leaf.grad


def from_the_same_start(network: nn.Module, step: Callable[[], Step]) -> Step:
    """Do a step and put the network's buffers and gradients back."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    network.zero_grad()
    result = step()
    network.zero_grad()
    with torch.no_grad():
        for name, value in network.named_buffers():
            value.copy_(buffers[name])
    return result


def assert_equal_steps(actual: Step, expected: Step) -> None:
    """Compare outputs, gradients and buffers; the only difference may be the rounding of float64."""
    assert_close(actual.output, expected.output)
    assert actual.gradients.keys() == expected.gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.gradients.values())
    for name, gradient in expected.gradients.items():
        torch.testing.assert_close(actual.gradients[name], gradient, rtol=1e-8, atol=1e-10 * largest)
    for name, buffer in expected.buffers.items():
        assert_close(actual.buffers[name], buffer)


def assert_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-8, atol=1e-10)
