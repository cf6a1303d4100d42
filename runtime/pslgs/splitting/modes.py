"""Training and evaluation mode, switched for a while and then put back module by module."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def mode_of(*networks: nn.Module, training: bool) -> Iterator[None]:
    """Hold ``networks`` in training or evaluation mode; on leaving, each module has the mode it had."""
    before = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.train(training)
    try:
        yield
    finally:
        for module, was_training in before:
            module.training = was_training
