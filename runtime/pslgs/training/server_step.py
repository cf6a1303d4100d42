"""The server's half of a step: forward and backward of the server part, then one update of both parts."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pslgs.sampling.randomness import Purpose, torch_seed
from pslgs.training.optimization import apply_step, build_optimizer, learning_rate
from pslgs.training.seeding import seed_torch
from pslgs.training.single_samples import single_sample_explained
from pslgs.training.task import Task
from pslgs.training.vectors import concatenated, floating_tensors, split_like, trainable


@dataclass(frozen=True, slots=True, eq=False)
class ServerStepResult:
    """What the server part made of a global batch.

    Attributes:
        loss: Mean over the batch.
        cut_gradient: On the CPU; shape (B, features).
    """

    loss: float
    cut_gradient: Tensor


class ServerStep:
    """The parameters of both parts, their optimizer, and the two moves that change them.

    `run` and then `apply` make a step; `abandon` instead of `apply` leaves everything as it was before `run`.

    Attributes:
        network: Both parts; the server's copy of the client part is the one that counts.
        optimizer: Over the trainable parameters of both parts.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self.network = task.network
        self.network.client_part.to(device)
        self.network.server_part.to(device)
        self._task = task
        self._device = device
        trained = [*trainable(self.network.client_part), *trainable(self.network.server_part)]
        self.optimizer = build_optimizer(task.optimizer, trained)
        self._buffers_before: list[Tensor] = []

    def parameters(self) -> Tensor:
        """Return a copy of the client part's parameters and buffers, a vector on the CPU."""
        return concatenated(floating_tensors(self.network.client_part), self._task.layout.dtype)

    def run(self, smashed: Tensor, labels: Tensor, step: int) -> ServerStepResult:
        """Run the server part on a global batch, forward and backward, without changing a parameter.

        Args:
            smashed: Smashed data in client order; shape (B, features).
            labels: Shape (B, label width).
            step: Number of the step, from which dropout is seeded; every attempt at it is seeded alike.

        Raises:
            InputError: the batch is a single sample, and the server part cannot train on one.
        """
        part = self.network.server_part
        part.train()
        self._buffers_before = [buffer.clone() for buffer in part.buffers()]
        seed_torch(torch_seed(self._task.seed, Purpose.SERVER_DROPOUT, step))
        leaf = smashed.to(self._device).detach().requires_grad_()
        with single_sample_explained(part, len(leaf), f"step {step}"):
            outputs = part(*self._task.layout.unpack(leaf))
        loss = self._task.objective.mean_loss(outputs, labels.to(self._device))
        torch.autograd.backward(loss)
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        return ServerStepResult(loss.item(), gradient.cpu())

    def apply(self, client_gradients: Iterable[Tensor], epoch: int) -> float:
        """Sum the client gradients in the order given and step the optimizer of both parts.

        With a loss that is a mean over the global batch, the sum is the exact gradient.

        Returns:
            The learning rate of the step.
        """
        total: Tensor | None = None
        for gradient in client_gradients:
            total = gradient.clone() if total is None else total.add_(gradient)
        parameters = trainable(self.network.client_part)
        if total is not None:
            pieces = split_like(total.to(self._device), parameters)
            for parameter, piece in zip(parameters, pieces, strict=True):
                parameter.grad = piece.to(parameter.dtype)
        rate = learning_rate(self._task.optimizer, epoch, self._task.epochs)
        apply_step(self.optimizer, rate)
        self._buffers_before = []
        return rate

    @torch.no_grad()
    def abandon(self) -> None:
        """Undo `run`: the server part's buffers are put back, all gradients dropped."""
        for buffer, before in zip(self.network.server_part.buffers(), self._buffers_before, strict=False):
            buffer.copy_(before)
        self._buffers_before = []
        self.optimizer.zero_grad(set_to_none=True)
