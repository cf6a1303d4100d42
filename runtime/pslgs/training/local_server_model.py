"""The server's model: weights and optimizer in this process, on one device."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import torch
from torch import Tensor
from typing_extensions import override

from pslgs.coordination.epoch_position import ONLY_STEP, EpochPosition
from pslgs.model_inputs import Inputs, call, converted, tensors_of
from pslgs.spec.optimizer import ScheduleName
from pslgs.splitting.split_network import SplitNetwork
from pslgs.splitting.train_mode import set_mode
from pslgs.training.accumulation import Accumulation
from pslgs.training.averaging import WeightAverage
from pslgs.training.batchnorm import (
    batch_norm_statistics,
    batch_norms,
    using_statistics,
)
from pslgs.training.dataset_check import naming_unknown_tokens
from pslgs.training.evaluation import Score
from pslgs.training.model_code import CLIENT_PART, SERVER_PART, backward_pass, forward_pass
from pslgs.training.objective import check_custom_loss
from pslgs.training.optimizer import (
    apply_step,
    build_optimizer,
    load_optimizer,
    optimizer_tensors,
)
from pslgs.training.outputs import tally_outputs
from pslgs.training.precision import computing_in
from pslgs.training.schedule import Plateau, learning_rate
from pslgs.training.server_model import ModelState, ServerModel, ServerStepResult
from pslgs.training.server_passes import LocalPasses, ServerPasses
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import concatenated, floating_tensors, magnitude, split_like, trainable


class LocalServerModel(ServerModel):
    """Both parts of the network on one device of this process.

    The passes of the server part may be computed by further processes (`ServerPasses`).  They hold copies of
    its weights and nothing else, so that what a checkpoint contains does not depend on them.

    Attributes:
        optimizer: Over the trainable parameters of both parts.
    """

    def __init__(
        self,
        task: TrainingSetup,
        network: SplitNetwork,
        device: torch.device,
        passes: ServerPasses | None = None,
    ) -> None:
        """Move ``network`` to ``device`` and train it there in place.

        Args:
            task: The definition of the training.
            network: The network.
            device: The device.
            passes: Forward and backward of the server part of ``network``; None to compute them here.

        Raises:
            InputError: the user's loss function cannot be used.
        """
        check_custom_loss(task.objective, task.layout.dtype)
        self._network = network
        self._client_part = network.client_part.to(device)
        self._server_part = network.server_part.to(device)
        self._task = task
        self._objective = task.objective
        self._label_counts: tuple[int, ...] | None = None
        self._device = device
        self._passes = passes or LocalPasses(self._server_part, task, device)
        self._client_tensors = floating_tensors(self._client_part)
        self._client_trained = trainable(self._client_part)
        trained = [*self._client_trained, *trainable(self._server_part)]
        self.optimizer = build_optimizer(task.optimizer, trained)
        self._accumulation = Accumulation(trained, task.optimizer.accumulate)
        self._average = None if task.ema_decay is None else WeightAverage(network, task.ema_decay)
        self._evaluated = network if self._average is None else self._average.network
        self._plateau = Plateau()
        self._weight = 0.0
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
        return concatenated(self._client_tensors, self._task.layout.dtype)

    @override
    def begin(self, label_counts: Sequence[int]) -> None:
        if self._label_counts is None:
            self._label_counts = tuple(label_counts)
            self._objective = self._task.objective.balanced(self._label_counts)

    @override
    def evaluated_parameters(self) -> Tensor:
        return concatenated(floating_tensors(self._evaluated.client_part), self._task.layout.dtype)

    @override
    def run(self, smashed: Tensor, labels: Tensor, step: int) -> ServerStepResult:
        self._buffers_before = [buffer.clone() for buffer in self._server_part.buffers()]
        outputs = self._passes.forward(smashed, step).requires_grad_()
        self._weight = self._objective.weight(labels)
        loss = self._objective.mean_loss(outputs, labels.to(self._device))
        with backward_pass(SERVER_PART):
            torch.autograd.backward(loss)
        gradient = torch.zeros_like(outputs) if outputs.grad is None else outputs.grad
        result = ServerStepResult(cut_gradient=self._passes.backward(gradient).cpu(), loss=loss.item())
        self._passes.reduce_gradients()
        return result

    @override
    def apply(
        self, client_gradients: Iterable[Tensor], epoch: int, position: EpochPosition = ONLY_STEP
    ) -> float:
        total: Tensor | None = None
        for gradient in client_gradients:
            total = gradient.clone() if total is None else total.add_(gradient)
        if total is not None:
            pieces = split_like(total.to(self._device), self._client_trained)
            for parameter, piece in zip(self._client_trained, pieces, strict=True):
                parameter.grad = piece.to(parameter.dtype)
        spec = self._task.optimizer
        rate = learning_rate(spec, epoch, self._task.epochs, position, self._plateau.reductions)
        if self._accumulation.add(self._weight, last=position.taken + 1 >= position.planned):
            apply_step(self.optimizer, rate, spec)
            if self._average:
                self._average.update()
            self._passes.weights_changed()
        self._buffers_before = []
        return rate

    @override
    def largest_client_parameter(self) -> float:
        return max((magnitude(parameter) for parameter in self._client_trained), default=0.0)

    @override
    @torch.no_grad()
    def non_finite(self) -> str | None:
        extremes = [extreme for tensor in self._checked for extreme in torch.aminmax(tensor)]
        # Their sum, because `item` synchronises with a GPU.
        if math.isfinite(torch.stack(extremes).sum().item()):
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
        self._passes.weights_changed()

    @override
    def smash(self, inputs: Inputs) -> Tensor:
        return self._smash(inputs).contiguous().cpu()

    @override
    @torch.no_grad()
    def score(self, smashed: Tensor, labels: Tensor) -> Score:
        there = labels.to(self._device)
        outputs = self._passes.evaluate(self._evaluated.server_part, smashed)
        weight = self._objective.weight(labels)
        loss = self._objective.mean_loss(outputs, there).item() * weight
        correct = self._objective.correct(outputs, there)
        return Score(len(labels), loss, correct, weight, tally_outputs(self._objective, outputs, labels))

    @override
    def score_inputs(self, inputs: Inputs, labels: Tensor) -> Score:
        return self.score(self._smash(inputs), labels)

    @override
    def batch_norm_statistics(self, batches: Iterable[Tensor]) -> list[Tensor] | None:
        part = self._evaluated.server_part
        if not batch_norms(part):
            return None
        there = (self._task.layout.unpack(batch.to(self._device)) for batch in batches)
        return batch_norm_statistics(part, there)

    @override
    @contextmanager
    def using_statistics(self, statistics: Sequence[Tensor]) -> Iterator[None]:
        try:
            with using_statistics(self._evaluated.server_part, statistics):
                self._passes.weights_changed()
                yield
        finally:
            self._passes.weights_changed()

    @override
    def observe_evaluation(self, total: Score) -> None:
        schedule, metric = self._task.optimizer.schedule, self._task.followed_metric
        if schedule.name is ScheduleName.REDUCE_ON_PLATEAU:
            self._plateau.observe(total.value_of(metric), metric, schedule)

    @override
    def named_tensors(self) -> dict[str, Tensor]:
        return self._evaluated.named_tensors()

    @override
    def state(self) -> ModelState:
        tensors, settings = optimizer_tensors(self.optimizer)
        accumulated, accumulation = self._accumulation.state()
        averaged, average = self._average.state() if self._average else ({}, {})
        more = {"accumulated": accumulated, "averaged": averaged}
        progress = {
            "label_counts": None if self._label_counts is None else list(self._label_counts),
            "accumulation": accumulation,
            "average": average,
            "plateau": asdict(self._plateau),
        }
        groups = {name: group for name, group in more.items() if group}
        return ModelState(self._network.named_tensors(), tensors, settings, groups, progress)

    @override
    def load_state(self, state: ModelState) -> None:
        self._network.load_named_tensors(state.model)
        load_optimizer(self.optimizer, state.optimizer, state.optimizer_settings)
        more, progress = state.more, state.progress
        self._accumulation.load_state(more.get("accumulated", {}), progress.get("accumulation", {}))
        self._plateau = Plateau(**progress.get("plateau", {}))
        if self._average:
            self._average.load_state(more["averaged"], progress["average"])
        self._passes.weights_changed()
        if (counts := progress.get("label_counts")) is not None:
            self._label_counts = None
            self.begin([int(count) for count in counts])

    @torch.no_grad()
    def _smash(self, inputs: Inputs) -> Tensor:
        """Compute smashed data on the device."""
        part, layout = self._evaluated.client_part, self._task.layout
        tensor = next(iter(floating_tensors(part)), None)
        dtype = self._task.input_dtype or (tensor.dtype if tensor is not None else None)
        there = converted(inputs, dtype, self._device)
        computing = computing_in(self._task.precision.client, self._device)
        with (
            set_mode(part, training=False),
            forward_pass(CLIENT_PART, tensors_of(there)),
            computing,
            naming_unknown_tokens(inputs),
        ):
            return layout.pack(call(part, there)).to(layout.dtype)


def _is_broken(tensor: Tensor) -> bool:
    return not torch.isfinite(tensor).all()
