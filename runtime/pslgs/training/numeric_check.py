"""Runs the server's part of a step and checks every number that enters it and comes of it.

A check is one pass over a tensor that was just written or is about to be read, without a copy of it, and
costs a small part of receiving it.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pslgs.coordination.epoch_position import EpochPosition
from pslgs.coordination.numeric_faults import NumericFault, Received, fault_in_received, fault_in_result
from pslgs.training.server_model import ServerModel, ServerStepResult
from pslgs.training.tensors import magnitude

NARROW = 1e30
"""A type whose largest number is smaller, such as float16, is meant to be used up to its end."""


class CheckedSteps:
    """Steps of a `ServerModel`, each `run` and then `apply`, with faults in their numbers found before harm.

    A fault that `run` finds leaves the model as it was after `ServerModel.abandon`, and so does one that
    `apply` finds in the clients' gradients.
    """

    def __init__(self, model: ServerModel) -> None:
        self._model = model
        self._received: list[Received] = []
        self._cut_gradient = 0.0

    def run(
        self,
        smashed: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        batch: tuple[Tensor, Tensor],
        step: int,
    ) -> ServerStepResult | NumericFault:
        """Compute loss and gradients of the server part; see `ServerModel.run`.

        Args:
            smashed: Client -> its rows of smashed data.
            labels: Client -> its rows of labels.
            batch: The smashed data and the labels of all clients, of which the above are parts.
            step: Number of the step.
        """
        fault = self.check(smashed, labels)
        if fault:
            return fault
        result = self._model.run(*batch, step)
        self._cut_gradient = magnitude(result.cut_gradient)
        if not math.isfinite(result.loss):
            return fault_in_result(f"the loss of step {step} is {result.loss}", self._received)
        if not math.isfinite(self._cut_gradient):
            return fault_in_result(f"the cut gradient of step {step} is not finite", self._received)
        return result

    def check(self, smashed: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> NumericFault | None:
        """Check forward answers, client -> its rows; None if they can be used."""
        self._received = [_received("smashed data", smashed, self._model.largest_client_parameter)]
        if any(rows.is_floating_point() for rows in labels.values()):
            self._received.append(_received("labels", labels, lambda: 0.0))
        return next(filter(None, map(fault_in_received, self._received)), None)

    def apply(
        self, gradients: Mapping[str, Tensor], epoch: int, step: int, position: EpochPosition
    ) -> float | NumericFault:
        """Apply one optimizer step; see `ServerModel.apply`.

        Args:
            gradients: Client -> its gradient, in the order in which they are summed.
            epoch: Number of the epoch.
            step: Number of the step.
            position: Position of the step in its epoch.

        Returns:
            The learning rate of the step, or the fault that was found.
        """
        received = _received(
            "gradients", gradients, lambda: max(self._model.largest_client_parameter(), self._cut_gradient)
        )
        if fault := fault_in_received(received):
            return fault
        rate = self._model.apply(gradients.values(), epoch, position)
        broken = self._model.non_finite()
        if broken is not None:
            return NumericFault(f"'{broken}' is not finite after step {step}")
        return rate


def _received(kind: str, tensors: Mapping[str, Tensor], computed_from: Callable[[], float]) -> Received:
    """Measure what clients sent; ``computed_from`` is asked only if something of it is suspicious."""
    magnitudes = {client: magnitude(tensor) for client, tensor in tensors.items()}
    largest = min((torch.finfo(tensor.dtype).max for tensor in tensors.values()), default=math.inf)
    overflow = math.sqrt(largest) if largest > NARROW else math.inf
    usual = all(math.isfinite(each) and each <= overflow for each in magnitudes.values())
    return Received(kind, magnitudes, overflow, 0.0 if usual else computed_from())
