"""Switch a module's training mode for the duration of a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def set_mode(*networks: nn.Module, training: bool) -> Iterator[None]:
    """Switch ``networks`` to training or evaluation mode, and restore the mode of each module on exit."""
    before = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.train(training)
    try:
        yield
    finally:
        for module, was_training in before:
            module.training = was_training
