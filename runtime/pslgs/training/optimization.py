"""The optimizer over both parts and its learning rate schedule."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, optim

from pslgs.spec.optimization import OptimizerName, OptimizerSpec, ScheduleName


def build_optimizer(spec: OptimizerSpec, parameters: Iterable[Tensor]) -> optim.Optimizer:
    """Create the optimizer of the manifest over the parameters of both parts."""
    trained = list(parameters)
    match spec.name:
        case OptimizerName.SGD:
            return optim.SGD(
                trained, spec.learning_rate, momentum=spec.momentum, weight_decay=spec.weight_decay
            )
        case OptimizerName.ADAM | OptimizerName.ADAM_W:
            adam = optim.AdamW if spec.name is OptimizerName.ADAM_W else optim.Adam
            betas = (spec.betas[0], spec.betas[1])
            return adam(trained, spec.learning_rate, betas=betas, weight_decay=spec.weight_decay)


def learning_rate(spec: OptimizerSpec, epoch: int, epochs: int) -> float:
    """Return the learning rate of an epoch.

    For the cosine schedule it is lr/2 · (1 + cos(π (epoch−1)/epochs)) (Loshchilov and Hutter 2017, without
    restarts).

    Args:
        spec: Optimizer settings with the schedule.
        epoch: Number of the epoch, from 1.
        epochs: Number of epochs of the job.
    """
    passed = epoch - 1
    match spec.schedule.name:
        case ScheduleName.CONSTANT:
            return spec.learning_rate
        case ScheduleName.COSINE:
            return spec.learning_rate / 2 * (1 + math.cos(math.pi * passed / epochs))
        case ScheduleName.STEP:
            return spec.learning_rate * spec.schedule.factor ** (passed // spec.schedule.every_epochs)


def apply_step(optimizer: optim.Optimizer, rate: float) -> None:
    """Take one optimizer step at the given learning rate, and reset the gradients to None."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    with torch.enable_grad():
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
