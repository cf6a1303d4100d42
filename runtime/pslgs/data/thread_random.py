"""Redirection of torch's random functions to a generator of the calling thread."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_TAKING_GENERATOR = frozenset(
    {torch.bernoulli, torch.multinomial, torch.normal, torch.poisson, torch._sample_dirichlet}
    | {torch.rand, torch.randint, torch.randn, torch.randperm}
    | {Tensor.bernoulli, Tensor.bernoulli_, Tensor.multinomial, Tensor.normal_, Tensor.random_}
    | {Tensor.cauchy_, Tensor.exponential_, Tensor.geometric_, Tensor.log_normal_, Tensor.uniform_}
)
_FILLING: Mapping[object, Callable[..., Tensor]] = {
    torch.rand_like: Tensor.uniform_,
    torch.randn_like: Tensor.normal_,
}


class ThreadGenerator(TorchFunctionMode):
    """A context manager in which random functions of torch, called in this thread, use ``generator``.

    Transforms of torchvision use the global generator, so that threads which transform samples at the same
    time, or beside a model with dropout, would affect each other's numbers.  The numbers equal those of the
    global CPU generator in the same state.

    Functions that neither accept a generator nor fill a tensor, such as ``dropout``, are not redirected.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self._generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the interface of torch
        """Call ``func``, with the generator if it draws random numbers."""
        kwargs = kwargs or {}
        if func in _TAKING_GENERATOR:
            return func(*args, **{"generator": self._generator, **kwargs})
        if func in _FILLING:
            return _FILLING[func](torch.empty_like(*args, **kwargs), generator=self._generator)
        return func(*args, **kwargs)
