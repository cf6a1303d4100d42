"""Forward and backward of the server part: the interface, and its implementation on one device."""

from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor, nn
from typing_extensions import override

from pslgs.sampling.randomness import Purpose, torch_seed
from pslgs.splitting.train_mode import set_mode
from pslgs.training.batchnorm import single_sample_explained
from pslgs.training.model_code import SERVER_PART, backward_pass, forward_pass
from pslgs.training.precision import computing_in
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import scalar_with_gradient
from pslgs.training.torch_thread import seed_torch


class ServerPasses(Protocol):
    """Forward and backward of the server part on batches of smashed data.

    A step is `forward`, `backward` and `reduce_gradients`, in this order.  Tensors are returned on the device
    that has the parameters.
    """

    def forward(self, smashed: Tensor, step: int) -> Tensor:
        """Compute the outputs of a global batch in training mode.

        Args:
            smashed: Shape (B, features).
            step: Number of the step, which seeds dropout.

        Returns:
            Outputs without a graph; shape (B, *output_shape).

        Raises:
            InputError: the batch is a single sample, and the server part cannot train on one.
        """
        ...

    def backward(self, gradient: Tensor) -> Tensor:
        """Compute the gradients of the parameters and of the smashed data.

        Args:
            gradient: Gradient of the loss with respect to the outputs of `forward`; same shape.

        Returns:
            The cut gradient; shape (B, features).
        """
        ...

    def reduce_gradients(self) -> None:
        """Complete the gradients of the parameters, which are those of the whole batch then."""
        ...

    def evaluate(self, part: nn.Module, smashed: Tensor) -> Tensor:
        """Compute outputs (B, *output_shape) in evaluation mode.

        Args:
            part: The server part, or its copy with averaged weights.
            smashed: Shape (B, features).
        """
        ...

    def weights_changed(self) -> None:
        """Note that parameters or buffers of a part were changed by others than `forward`."""
        ...


class LocalPasses(ServerPasses):
    """The passes of one process on its device."""

    def __init__(self, part: nn.Module, task: TrainingSetup, device: torch.device, rank: int = 0) -> None:
        """Create them for a part on ``device``; processes of other ranks draw other dropout."""
        self._part = part
        self._task = task
        self._device = device
        self._keys = (rank,) if rank else ()
        self._leaf = self._outputs = torch.empty(0)

    @override
    def forward(self, smashed: Tensor, step: int) -> Tensor:
        part = self._part
        part.train()
        seed_torch(torch_seed(self._task.seed, Purpose.SERVER_DROPOUT, step, *self._keys))
        leaf = smashed.to(self._device).detach().requires_grad_()
        received = self._task.layout.unpack(leaf)
        with (
            forward_pass(SERVER_PART, received),
            single_sample_explained(part, len(leaf), f"step {step}"),
            self._computing(),
        ):
            outputs = part(*received).to(leaf.dtype)
        self._leaf, self._outputs = leaf, outputs
        return self._outputs.detach()

    @override
    def backward(self, gradient: Tensor) -> Tensor:
        with backward_pass(SERVER_PART):
            torch.autograd.backward(scalar_with_gradient(self._outputs, gradient))
        leaf = self._leaf
        self._leaf = self._outputs = torch.empty(0)
        return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad

    @override
    def reduce_gradients(self) -> None:
        return

    @override
    @torch.no_grad()
    def evaluate(self, part: nn.Module, smashed: Tensor) -> Tensor:
        layout = self._task.layout
        received = layout.unpack(smashed.to(self._device))
        with set_mode(part, training=False), forward_pass(SERVER_PART, received), self._computing():
            outputs: Tensor = part(*received).to(layout.dtype)
        return outputs

    @override
    def weights_changed(self) -> None:
        return

    def _computing(self) -> AbstractContextManager[object]:
        return computing_in(self._task.precision.server, self._device)
