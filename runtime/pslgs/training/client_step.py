"""The client's computations in a step: forward and backward pass of its part, in slices."""

import torch
from torch import Tensor, nn

from pslgs.model_inputs import Inputs, call, converted, tensors_of
from pslgs.sampling.randomness import Purpose, client_key, torch_seed
from pslgs.training.dataset_check import naming_unknown_tokens
from pslgs.training.model_code import CLIENT_PART, backward_pass, forward_pass
from pslgs.training.precision import computing_in
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import concatenated, floating_tensors, scalar_with_gradient, trainable
from pslgs.training.torch_thread import seed_torch


class ClientStep:
    """Forward and backward pass of the client part for one local batch at a time.

    The client part is not modified, so that many virtual clients can share it.  It has no statistics over
    samples, so the gradient of a batch is the sum of the gradients of its slices.

    Attributes:
        part: The client part.

    Args:
        task: Definition of the training.
        client_part: The client part, with the server's parameters loaded before each step.
        client_id: Id of the client, from which its dropout is seeded.
    """

    def __init__(self, task: TrainingSetup, client_part: nn.Module, client_id: str) -> None:
        self.part = client_part
        self._layout = task.layout
        self._precision = task.precision.client
        self._seed = task.seed
        self._key = client_key(client_id)
        parameter_dtype = next((each.dtype for each in floating_tensors(self.part)), task.layout.dtype)
        self._dtype = task.input_dtype or parameter_dtype
        self._trained = trainable(self.part)
        self._smashed: list[Tensor] = []
        self._gradients: list[Tensor] = []

    def begin(self, epoch: int, offset: int) -> None:
        """Begin a local batch.

        Args:
            epoch: Number of the epoch.
            offset: Position of the batch's first sample in the client's order of this epoch.  Dropout is
                seeded from epoch, offset and client.
        """
        self.part.train()
        self._smashed.clear()
        self._gradients = [torch.zeros_like(parameter) for parameter in self._trained]
        seed_torch(torch_seed(self._seed, Purpose.CLIENT_DROPOUT, epoch, self._key, offset))

    def forward(self, inputs: Inputs) -> Tensor:
        """Compute the smashed data of a slice.

        Args:
            inputs: Shape (rows, *input_shape), or such of each input.

        Returns:
            The smashed data; shape (rows, features).
        """
        smashed = self._compute(inputs)
        self._smashed.append(smashed)
        return smashed.detach()

    def backward(self, cut_gradient: Tensor) -> None:
        """Add the gradient of the earliest slice without a backward pass.

        Args:
            cut_gradient: Gradient of the loss with respect to the slice's smashed data; shape
                (rows, features).
        """
        smashed = self._smashed.pop(0)
        if not smashed.requires_grad:
            return
        scalar = scalar_with_gradient(smashed, cut_gradient.to(smashed.dtype))
        with backward_pass(CLIENT_PART):
            found = torch.autograd.grad(scalar, self._trained, allow_unused=True)
        for total, gradient in zip(self._gradients, found, strict=True):
            if gradient is not None:
                total.add_(gradient)

    def gradient(self) -> Tensor:
        """Return the gradient of all trainable parameters as a vector; shape (elements,)."""
        return concatenated(self._gradients, self._layout.dtype)

    @torch.no_grad()
    def evaluate(self, inputs: Inputs) -> Tensor:
        """Compute smashed data in evaluation mode, without gradients.

        Args:
            inputs: Shape (rows, *input_shape), or such of each input.

        Returns:
            The smashed data; shape (rows, features).
        """
        self.part.eval()
        return self._compute(inputs)

    def _compute(self, inputs: Inputs) -> Tensor:
        rows = converted(inputs, self._dtype)
        tensors = tensors_of(rows)
        with (
            forward_pass(CLIENT_PART, tensors),
            computing_in(self._precision, tensors[0].device),
            naming_unknown_tokens(inputs),
        ):
            return self._layout.pack(call(self.part, rows)).to(self._layout.dtype).contiguous()
