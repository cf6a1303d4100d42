"""Batch normalisation over the rows of all processes that compute the server part."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from pslgs.training.collectives import gathered


class GlobalBatchNorm(TorchFunctionMode):
    """Lets every BatchNorm in the block that uses statistics of its batch use those of all processes' rows.

    These are the layers in training mode, and in evaluation mode those without running statistics.

    It replaces the function that torch's layers, and layers derived from them, call.  The layers stay, with
    the names of their tensors.  `torch.nn.SyncBatchNorm` does the same on GPUs only, as a layer of its own.
    """

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # what torch's functions return
        given = kwargs or {}
        if func is functional.batch_norm and given["training"]:
            return batch_norm(*args, **given)
        return func(*args, **given)


def batch_norm(  # noqa: PLR0913, PLR0917 - of torch's function of this name
    batch: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,  # noqa: ARG001, FBT001
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise the rows of this process by mean and variance over those of all, with their gradients.

    Means and variances of the processes are combined by Chan et al. (1983), which does not cancel:
    μ = Σ n_r μ_r / Σ n_r and σ² = Σ n_r (σ_r² + (μ_r − μ)²) / Σ n_r.  Every process does so from the same
    numbers, so all have the same running statistics.

    Args:
        batch: Shape (rows, channels, …).
        running_mean: Running mean, which is updated; shape (channels,).
        running_var: Running variance, which is updated; shape (channels,).
        weight: γ; shape (channels,).
        bias: β; shape (channels,).
        training: Always true.
        momentum: Weight of the new statistics in the running ones.
        eps: ε.
    """
    reduced = batch.dtype in {torch.float16, torch.bfloat16}
    values = batch.float() if reduced else batch
    channels = batch.shape[1]
    own_variance, own_mean = torch.var_mean(
        values, [dim for dim in range(batch.dim()) if dim != 1], correction=0
    )
    own_count = own_mean.new_tensor([batch.numel() // channels])
    rows = gathered(torch.cat([own_mean, own_variance, own_count]))
    means, variances, counts = rows.split_with_sizes([channels, channels, 1], dim=1)
    total = counts.sum()
    mean = (counts * means).sum(dim=0) / total
    variance = (counts * (variances + (means - mean).square())).sum(dim=0) / total
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            unbiased = variance * total / (total - 1)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    scale = torch.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    shape = [1, channels, *(1 for _ in batch.shape[2:])]
    return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(batch.dtype)
