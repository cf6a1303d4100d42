"""The interface of the server's model: both parts of the network and their optimizer, on any devices."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from pslgs.coordination.epoch_position import ONLY_STEP, EpochPosition
from pslgs.model_inputs import Inputs
from pslgs.training.evaluation import Score


@dataclass(frozen=True, slots=True, eq=False)
class ServerStepResult:
    """The result of forward and backward of the server part on one global batch.

    Attributes:
        loss: Mean over the batch.
        cut_gradient: Gradient of the loss with respect to the smashed data, in host memory; shape
            (B, features).
    """

    loss: float
    cut_gradient: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ModelState:
    """Everything of a server model that a checkpoint stores.

    The tensors may share memory with the model, so they are valid until its next step.

    Attributes:
        model: Parameters and buffers of the whole network by their original names.
        optimizer: The optimizer's tensors, by the names of `optimizer_tensors`.
        optimizer_settings: The rest of the optimizer's state, as JSON.
        more: Further groups of tensors: accumulated gradients, averaged weights.
        progress: The rest, as JSON: label counts, accumulation, learning rate, average.
    """

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    optimizer_settings: Mapping[str, Any]
    more: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)


class ServerModel(Protocol):
    """The network, its optimizer, and every computation of the server with them.

    The server's copy of the client part is the authoritative one; clients receive it with every order.
    `run` and then `apply` make one step; `abandon` instead of `apply` restores the state before `run`.

    All tensors enter and leave in host memory.  On which devices they are computed, and how they get there,
    is the implementation's concern.  All methods but `empty` are called from one thread.
    """

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Allocate host memory for a tensor that will be passed to `run` or `score`.

        May be called from any thread.
        """
        ...

    def parameters(self) -> Tensor:
        """Return a copy of the client part's parameters and buffers; a vector (elements,)."""
        ...

    def evaluated_parameters(self) -> Tensor:
        """Return those with which evaluations are made: the averaged ones if weights are averaged."""
        ...

    def begin(self, label_counts: Sequence[int]) -> None:
        """Fix what depends on the data of all clients, before the first step: balanced weights of classes.

        After the first call, or the checkpoint of a training that had begun, nothing changes any more.

        Args:
            label_counts: Samples of each class; empty if labels are not classes.
        """
        ...

    def run(self, smashed: Tensor, labels: Tensor, step: int) -> ServerStepResult:
        """Compute loss and gradients of the server part on a global batch; no parameter changes.

        Args:
            smashed: Smashed data in client order; shape (B, features).
            labels: Shape (B, label width).
            step: Number of the step, which seeds dropout; all attempts at a step are seeded alike.

        Raises:
            InputError: the batch is a single sample, and the server part cannot train on one.
        """
        ...

    def apply(
        self, client_gradients: Iterable[Tensor], epoch: int, position: EpochPosition = ONLY_STEP
    ) -> float:
        """Sum the client gradients in the order given, then take one optimizer step on both parts.

        With a loss that is a mean over the global batch, the sum is the exact gradient.  With accumulation,
        the step is taken with the last of several global batches, and the others only add their gradients.

        Returns:
            The learning rate of the step.
        """
        ...

    def largest_client_parameter(self) -> float:
        """Return the largest absolute value of the client part's trainable parameters."""
        ...

    def non_finite(self) -> str | None:
        """Name a parameter, or a statistic of BatchNorm, with a value that is not finite; None if all are."""
        ...

    def abandon(self) -> None:
        """Undo `run`: restore the server part's buffers and drop all gradients."""
        ...

    def smash(self, inputs: Inputs) -> Tensor:
        """Return the smashed data (B, features) of inputs (B, *input_shape), in evaluation mode."""
        ...

    def score(self, smashed: Tensor, labels: Tensor) -> Score:
        """Score smashed data (B, features) with labels (B, label width) in evaluation mode."""
        ...

    def score_inputs(self, inputs: Inputs, labels: Tensor) -> Score:
        """Score inputs (B, *input_shape) with labels (B, label width) on the whole network."""
        ...

    def batch_norm_statistics(self, batches: Iterable[Tensor]) -> list[Tensor] | None:
        """Estimate the server part's BatchNorm statistics as their mean over ``batches`` of smashed data.

        Returns:
            The statistics, for `using_statistics`; None if the server part has no BatchNorm, in which case
            ``batches`` is not read.
        """
        ...

    def using_statistics(self, statistics: Sequence[Tensor]) -> AbstractContextManager[None]:
        """Use other BatchNorm statistics inside a ``with`` block, and restore the model's own after it."""
        ...

    def observe_evaluation(self, total: Score) -> None:
        """Take the score of an evaluation into account, which the learning rate may follow."""
        ...

    def named_tensors(self) -> Mapping[str, Tensor]:
        """Return the parameters and buffers that are evaluated and exported, by their original names."""
        ...

    def state(self) -> ModelState:
        """Return the state for a checkpoint."""
        ...

    def load_state(self, state: ModelState) -> None:
        """Restore the state of a checkpoint.

        Raises:
            InputError: the tensors are not of this network.
            CheckpointError: the optimizer's state is not of this job's optimizer.
        """
        ...
