"""Loss functions over a batch, each the mean that torch.nn defines, and the weights of classes."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from pslgs.spec.entrypoints import load_entrypoint, user_code
from pslgs.spec.errors import InputError
from pslgs.spec.loss import LossOptions

ENTRYPOINT = "spec.lossOptions.entrypoint"


def cross_entropy(outputs: Tensor, classes: Tensor, options: LossOptions, weights: Tensor | None) -> Tensor:
    """Return the cross entropy of softmax, or the focal loss (Lin et al. 2017) if γ is above 0.

    With weights it is the weighted mean, Σ w_y (1 − p_y)^γ (−log p_y) / Σ w_y over the batch.

    Args:
        outputs: Shape (B, classes).
        classes: Shape (B,).
        options: Label smoothing, or γ.
        weights: Weight of each class; shape (classes,).  None for equal weights.
    """
    gamma = options.focal_gamma
    if not gamma:
        return functional.cross_entropy(outputs, classes, weights, label_smoothing=options.label_smoothing)
    log_p = functional.log_softmax(outputs, dim=1).gather(1, classes.unsqueeze(1)).squeeze(1)
    losses = -(_complement(log_p) ** gamma) * log_p
    if weights is None:
        return losses.mean()
    weight = weights[classes]
    return (weight * losses).sum() / weight.sum()


def binary_cross_entropy(
    outputs: Tensor, labels: Tensor, options: LossOptions, positive_weight: Tensor | None
) -> Tensor:
    """Return the cross entropy of sigmoid over all elements, or the focal loss if γ is above 0.

    Args:
        outputs: Shape (B, targets).
        labels: Numbers from 0 to 1; same shape.
        options: γ.
        positive_weight: Weight of positive labels; shape (1,).  None for 1.
    """
    gamma = options.focal_gamma
    if not gamma:
        return functional.binary_cross_entropy_with_logits(outputs, labels, pos_weight=positive_weight)
    losses = functional.binary_cross_entropy_with_logits(
        outputs, labels, pos_weight=positive_weight, reduction="none"
    )
    positive, negative = functional.logsigmoid(outputs), functional.logsigmoid(-outputs)
    # 1 − p, where p = σ(x) y + (1 − σ(x)) (1 − y), from logarithms that do not cancel.
    complement = negative.exp() * labels + positive.exp() * (1 - labels)
    return (complement.clamp_min(torch.finfo(outputs.dtype).tiny) ** gamma * losses).mean()


def _complement(log_p: Tensor) -> Tensor:
    """Return 1 − p, never 0: the derivative of a power below 1 is infinite there."""
    return (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Return N / (M · N_c) for each class c with samples (King and Zeng 2001).

    Args:
        counts: Samples of each class.  A class without samples gets the largest weight of the others, and
            counts neither in N nor in M.
    """
    present = [count for count in counts if count]
    weights = [sum(present) / (len(present) * count) if count else 0.0 for count in counts]
    largest = max(weights, default=1.0)
    return [weight or largest for weight in weights]


def custom_loss(entrypoint: str, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of a user's function, a scalar tensor.

    Raises:
        InputError: the function cannot be imported, raises, or returns anything but one number.
    """
    function = _user_function(entrypoint)
    with user_code(ENTRYPOINT):
        loss = function(outputs, labels)
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        shown = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError.at(
            ENTRYPOINT,
            f"returned {shown}; it must return the mean loss, a floating-point tensor of one element",
        )
    return loss.reshape(())


_user_function = cache(lambda entrypoint: load_entrypoint(entrypoint, ENTRYPOINT))
