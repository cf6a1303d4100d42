"""The server's model in this process, on one device."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from typing_extensions import override

from pslgs.sampling.randomness import Purpose, torch_seed
from pslgs.splitting.split_network import SplitNetwork
from pslgs.splitting.train_mode import set_mode
from pslgs.training.batchnorm import (
    batch_norm_statistics,
    batch_norms,
    single_sample_explained,
    using_statistics,
)
from pslgs.training.evaluation import Score
from pslgs.training.optimizer import (
    apply_step,
    build_optimizer,
    learning_rate,
    load_optimizer,
    optimizer_tensors,
)
from pslgs.training.server_model import ModelState, ServerModel, ServerStepResult
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import concatenated, floating_tensors, magnitude, split_like, trainable
from pslgs.training.torch_thread import seed_torch


class LocalServerModel(ServerModel):
    """Both parts of the network on one device of this process.

    Attributes:
        optimizer: Over the trainable parameters of both parts.
    """

    def __init__(self, task: TrainingSetup, network: SplitNetwork, device: torch.device) -> None:
        """Move ``network`` to ``device`` and train it there in place."""
        self._network = network
        self._client_part = network.client_part.to(device)
        self._server_part = network.server_part.to(device)
        self._task = task
        self._device = device
        trained = [*trainable(self._client_part), *trainable(self._server_part)]
        self.optimizer = build_optimizer(task.optimizer, trained)
        statistics = [buffer for norm in batch_norms(self._server_part) for buffer in norm.buffers()]
        checked = [*trained, *(tensor for tensor in statistics if tensor.is_floating_point())]
        self._checked = [tensor for tensor in checked if tensor.numel()]
        self._buffers_before: list[Tensor] = []

    @override
    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        # Copies from page-locked memory to a GPU are about twice as fast.
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=self._device.type == "cuda")

    @override
    def parameters(self) -> Tensor:
        return concatenated(floating_tensors(self._client_part), self._task.layout.dtype)

    @override
    def run(self, smashed: Tensor, labels: Tensor, step: int) -> ServerStepResult:
        part = self._server_part
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

    @override
    def apply(self, client_gradients: Iterable[Tensor], epoch: int) -> float:
        total: Tensor | None = None
        for gradient in client_gradients:
            total = gradient.clone() if total is None else total.add_(gradient)
        parameters = trainable(self._client_part)
        if total is not None:
            pieces = split_like(total.to(self._device), parameters)
            for parameter, piece in zip(parameters, pieces, strict=True):
                parameter.grad = piece.to(parameter.dtype)
        rate = learning_rate(self._task.optimizer, epoch, self._task.epochs)
        apply_step(self.optimizer, rate)
        self._buffers_before = []
        return rate

    @override
    def largest_client_parameter(self) -> float:
        return max((magnitude(parameter) for parameter in trainable(self._client_part)), default=0.0)

    @override
    @torch.no_grad()
    def non_finite(self) -> str | None:
        extremes = [extreme for tensor in self._checked for extreme in torch.aminmax(tensor)]
        if torch.isfinite(torch.stack(extremes)).all():  # one synchronisation with a GPU for all of them
            return None
        tensors = self._network.named_tensors()
        checked = {id(tensor) for tensor in self._checked}
        broken = (name for name, tensor in tensors.items() if id(tensor) in checked and _is_broken(tensor))
        return next(broken, None)

    @override
    @torch.no_grad()
    def abandon(self) -> None:
        for buffer, before in zip(self._server_part.buffers(), self._buffers_before, strict=False):
            buffer.copy_(before)
        self._buffers_before = []
        self.optimizer.zero_grad(set_to_none=True)

    @override
    def smash(self, inputs: Tensor) -> Tensor:
        return self._smash(inputs).contiguous().cpu()

    @override
    @torch.no_grad()
    def score(self, smashed: Tensor, labels: Tensor) -> Score:
        there = labels.to(self._device)
        with set_mode(self._server_part, training=False):
            outputs = self._server_part(*self._task.layout.unpack(smashed.to(self._device)))
        loss = self._task.objective.mean_loss(outputs, there).item() * len(labels)
        return Score(len(labels), loss, self._task.objective.correct(outputs, there))

    @override
    def score_inputs(self, inputs: Tensor, labels: Tensor) -> Score:
        return self.score(self._smash(inputs), labels)

    @override
    def batch_norm_statistics(self, batches: Iterable[Tensor]) -> list[Tensor] | None:
        if not batch_norms(self._server_part):
            return None
        there = (self._task.layout.unpack(batch.to(self._device)) for batch in batches)
        return batch_norm_statistics(self._server_part, there)

    @override
    def using_statistics(self, statistics: Sequence[Tensor]) -> AbstractContextManager[None]:
        return using_statistics(self._server_part, statistics)

    @override
    def named_tensors(self) -> dict[str, Tensor]:
        return self._network.named_tensors()

    @override
    def state(self) -> ModelState:
        tensors, settings = optimizer_tensors(self.optimizer)
        return ModelState(self._network.named_tensors(), tensors, settings)

    @override
    def load_state(self, state: ModelState) -> None:
        self._network.load_named_tensors(state.model)
        load_optimizer(self.optimizer, state.optimizer, state.optimizer_settings)

    @torch.no_grad()
    def _smash(self, inputs: Tensor) -> Tensor:
        """Compute smashed data on the device."""
        part, layout = self._client_part, self._task.layout
        tensor = next(iter(floating_tensors(part)), None)
        there = inputs.to(self._device, tensor.dtype if tensor is not None else None)
        with set_mode(part, training=False):
            return layout.pack(part(there))


def _is_broken(tensor: Tensor) -> bool:
    return not torch.isfinite(tensor).all()
