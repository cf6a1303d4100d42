"""Accumulation of the gradients of several global batches into one optimizer step."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from pslgs.training.checkpoint import CheckpointError


class Accumulation:
    """The weighted mean of the gradients of ``batches`` global batches, Σ w_i g_i / Σ w_i.

    With the weights of the batches' mean losses, it is the gradient of the mean over all their samples.  Only
    whole global batches are added, so an abandoned attempt changes nothing.

    Attributes:
        count: Global batches that were added since the last optimizer step.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], batches: int) -> None:
        """Accumulate the gradients of ``parameters``; with one batch, these are used as they are."""
        self.count = 0
        self._parameters = parameters
        self._batches = batches
        self._weight = 0.0
        self._sums: dict[int, Tensor] = {}

    def add(self, weight: float, *, last: bool) -> bool:
        """Add the parameters' gradients.

        Args:
            weight: Weight of the global batch, w_i.
            last: Whether the optimizer step is due although more batches would fit.

        Returns:
            Whether the optimizer step is due: the gradients are the mean then, and None otherwise.
        """
        if self._batches == 1:
            return True
        self._weight += weight
        self.count += 1
        due = last or self.count >= self._batches
        for index, parameter in enumerate(self._parameters):
            if parameter.grad is not None:
                weighted = parameter.grad * weight
                self._sums[index] = self._sums[index].add_(weighted) if index in self._sums else weighted
            parameter.grad = self._sums[index].div_(self._weight) if due and index in self._sums else None
        if due:
            self.count, self._weight, self._sums = 0, 0.0, {}
        return due

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what a checkpoint contains: sums by the parameters' numbers, and JSON; both may be empty."""
        if not self.count:
            return {}, {}
        return {str(index): each for index, each in self._sums.items()}, {
            "count": self.count,
            "weight": self._weight,
        }

    def load_state(self, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
        """Continue from a `state`.

        Raises:
            CheckpointError: the tensors are not of these parameters.
        """
        self.count, self._weight = int(settings.get("count", 0)), float(settings.get("weight", 0.0))
        self._sums = {}
        for name, tensor in tensors.items():
            index = int(name)
            if index >= len(self._parameters) or tensor.shape != self._parameters[index].shape:
                raise CheckpointError(f"the accumulated gradient {name} does not fit the model")
            self._sums[index] = tensor.to(self._parameters[index].device, copy=True)
