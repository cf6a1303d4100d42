"""The client's half of a step: forward in slices, then backward in the same slices."""

import torch
from torch import Tensor, nn

from pslgs.sampling.randomness import Purpose, client_key, torch_seed
from pslgs.training.seeding import seed_torch
from pslgs.training.task import Task
from pslgs.training.vectors import concatenated, floating_tensors, trainable


class ClientStep:
    """What a client keeps between two messages of a step; nothing of it outlives the step.

    The client part itself is only read, so that many virtual clients can share it.  It has no statistics
    across samples, so the slices' gradients add up to the batch's.

    Attributes:
        part: The client part.
    """

    def __init__(self, task: Task, client_part: nn.Module, client_id: str) -> None:
        self.part = client_part
        self._layout = task.layout
        self._seed = task.seed
        self._key = client_key(client_id)
        self._dtype = next((tensor.dtype for tensor in floating_tensors(self.part)), task.layout.dtype)
        self._trained = trainable(self.part)
        self._smashed: list[Tensor] = []
        self._gradients: list[Tensor] = []

    def begin(self, epoch: int, offset: int) -> None:
        """Begin the local batch at ``offset`` of ``epoch``; its dropout is seeded from these."""
        self.part.train()
        self._smashed.clear()
        self._gradients = [torch.zeros_like(parameter) for parameter in self._trained]
        seed_torch(torch_seed(self._seed, Purpose.CLIENT_DROPOUT, epoch, self._key, offset))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the smashed data of a slice of inputs (rows, *input_shape); shape (rows, features)."""
        smashed = self._layout.pack(self.part(inputs.to(self._dtype))).contiguous()
        self._smashed.append(smashed)
        return smashed.detach()

    def backward(self, cut_gradient: Tensor) -> None:
        """Take the cut gradient (rows, features) of the earliest slice that still lacks it."""
        smashed = self._smashed.pop(0)
        if not smashed.requires_grad:
            return
        found = torch.autograd.grad(smashed, self._trained, cut_gradient.to(smashed.dtype), allow_unused=True)
        for total, gradient in zip(self._gradients, found, strict=True):
            if gradient is not None:
                total.add_(gradient)

    def gradient(self) -> Tensor:
        """Return the gradient of all trainable parameters; a vector (elements,)."""
        return concatenated(self._gradients, self._layout.dtype)

    @torch.no_grad()
    def evaluate(self, inputs: Tensor) -> Tensor:
        """Return the smashed data of inputs (rows, *input_shape), without randomness or gradients."""
        self.part.eval()
        return self._layout.pack(self.part(inputs.to(self._dtype))).contiguous()
