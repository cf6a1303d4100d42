"""The smashed data: which tensors cross the cut, and how they become a matrix with a row for each sample."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pslgs.spec.errors import InputError
from pslgs.splitting.modes import mode_of
from pslgs.splitting.split import SplitNetwork
from pslgs.splitting.tracing import CUT_LAYER

INPUT_SHAPE = "spec.model.inputShape"

_FORWARD_FAILURES = (RuntimeError, ValueError, TypeError, AssertionError, LookupError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class SmashedLayout:
    """What crosses the cut for one sample.

    Attributes:
        shapes: Of the crossing tensors, in their order, without the batch dimension.
        dtype: Of all of them.
    """

    shapes: tuple[tuple[int, ...], ...]
    dtype: torch.dtype

    @property
    def features(self) -> int:
        """Elements a sample."""
        return sum(map(math.prod, self.shapes))

    @property
    def bytes_per_sample(self) -> int:
        """Bytes a sample, uncompressed."""
        return self.features * self.dtype.itemsize

    def pack(self, tensors: Tensor | Sequence[Tensor]) -> Tensor:
        """Lay the crossing tensors side by side, (batch, features); a single contiguous one is not copied."""
        several = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
        rows = [
            tensor.reshape(len(tensor), math.prod(shape))
            for tensor, shape in zip(several, self.shapes, strict=True)
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)

    def unpack(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Undo `pack`: views into ``flat``, through which gradients flow back to it.

        Raises:
            ValueError: ``flat`` has not the shape (batch, features).
        """
        if flat.dim() != 2 or flat.shape[1] != self.features:
            raise ValueError(
                f"Smashed data must have the shape (batch, {self.features}), not {tuple(flat.shape)}."
            )
        columns = flat.split_with_sizes([math.prod(shape) for shape in self.shapes], dim=1)
        return tuple(
            column.view(len(flat), *shape) for column, shape in zip(columns, self.shapes, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """What a forward of blank samples showed.

    Attributes:
        smashed: What crosses the cut.
        output_shape: Of the network's output, without the batch dimension.
    """

    smashed: SmashedLayout
    output_shape: tuple[int, ...]


def probe(network: SplitNetwork, input_shape: Sequence[int]) -> Probe:
    """Send blank samples of ``input_shape`` (without batch dimension) through a network; it stays the same.

    Raises:
        InputError: the network cannot take such samples, its smashed data or output have no row for each
            sample, or its client part keeps something from one step to the next.
    """
    parts = network.client_part, network.server_part
    with _undisturbed(*parts):
        with torch.no_grad(), mode_of(*parts, training=False):
            few, output = _forward(network, input_shape, batch=2)
            more, longer_output = _forward(network, input_shape, batch=3)
        layout = _layout(few, more)
        with mode_of(*parts, training=True):
            _rehearse(network, input_shape)
    if not _has_rows(output, longer_output):
        problem = (
            "the model must return one tensor with a row for each sample, in evaluation and in training."
        )
        raise InputError.at("spec.model.architecture", problem)
    return Probe(layout, tuple(output.shape[1:]))


def _forward(
    network: SplitNetwork, input_shape: Sequence[int], batch: int
) -> tuple[tuple[Tensor, ...], Tensor]:
    parameter = next(network.client_part.parameters())
    samples = torch.zeros(batch, *input_shape, dtype=parameter.dtype, device=parameter.device)
    try:
        smashed = network.client_part(samples)
        several = smashed if isinstance(smashed, tuple) else (smashed,)
        return several, network.server_part(*several)
    except _FORWARD_FAILURES as failure:
        reason = str(failure).split("\n", maxsplit=1)[0]
        problem = f"the model cannot take samples of shape {tuple(input_shape)}: {reason}"
        raise InputError.at(INPUT_SHAPE, problem) from failure


def _rehearse(network: SplitNetwork, input_shape: Sequence[int]) -> None:
    """Do a step's forward as in training: nothing kept at the client, autograd started from smashed data."""
    before = [buffer.clone() for buffer in network.client_part.buffers()]
    with torch.no_grad():
        smashed, _ = _forward(network, input_shape, batch=2)
    for (name, after), value in zip(network.client_part.named_buffers(), before, strict=True):
        if not after.is_meta and not torch.equal(after, value):
            problem = (
                f"'{name}' before the cut changes with every step, but clients keep nothing; cut before it."
            )
            raise InputError.at(CUT_LAYER, problem)
    try:
        network.server_part(*(tensor.detach().requires_grad_() for tensor in smashed))
    except _FORWARD_FAILURES as failure:
        problem = (
            f"the server part cannot be trained from the smashed data ({failure}); cut at another layer."
        )
        raise InputError.at(CUT_LAYER, problem) from failure


@contextmanager
def _undisturbed(*parts: nn.Module) -> Iterator[None]:
    """Put buffers and random states back on leaving."""
    modules = [module for part in parts for module in part.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in modules
        for name, buffer in module.named_buffers(recurse=False)
    ]
    gpus = {tensor.device for part in parts for tensor in part.parameters() if tensor.is_cuda}
    with torch.random.fork_rng(devices=list(gpus)):
        try:
            yield
        finally:
            for module, name, buffer, value in buffers:
                buffer.copy_(value)
                setattr(module, name, buffer)


def _layout(few: tuple[Tensor, ...], more: tuple[Tensor, ...]) -> SmashedLayout:
    if not all(_has_rows(here, there) for here, there in zip(few, more, strict=True)):
        problem = "what crosses the cut has no row for each sample (batch first); cut at another layer."
        raise InputError.at(CUT_LAYER, problem)
    dtypes = {tensor.dtype for tensor in few}
    if len(dtypes) > 1 or not few[0].dtype.is_floating_point:
        found = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        problem = (
            f"only floating-point tensors of one type can cross the cut, not {found}; cut at another layer."
        )
        raise InputError.at(CUT_LAYER, problem)
    return SmashedLayout(tuple(tuple(tensor.shape[1:]) for tensor in few), few[0].dtype)


def _has_rows(two: object, three: object) -> bool:
    """Tell whether outputs for two and three samples are tensors that differ in their rows' number alone."""
    if not isinstance(two, Tensor) or not isinstance(three, Tensor) or not two.dim():
        return False
    return len(two) == 2 and len(three) == 3 and two.shape[1:] == three.shape[1:]
