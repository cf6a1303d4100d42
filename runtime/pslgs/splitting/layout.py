"""Layout of the smashed data: the tensors that cross the cut, as a matrix with a row per sample."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pslgs.model_inputs import InputShape, NamedShapes, call, zeros
from pslgs.spec.entrypoints import user_code
from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import INPUTS
from pslgs.splitting.architectures import ARCHITECTURE
from pslgs.splitting.split_network import SplitNetwork
from pslgs.splitting.trace import CUT_LAYER
from pslgs.splitting.train_mode import set_mode

INPUT_SHAPE = "spec.model.inputShape"


@dataclass(frozen=True, slots=True)
class SmashedLayout:
    """Shapes and type of the tensors that cross the cut.

    Attributes:
        shapes: Shape of each crossing tensor, in their order, without the batch dimension.
        dtype: Type of all crossing tensors.
    """

    shapes: tuple[tuple[int, ...], ...]
    dtype: torch.dtype

    @property
    def features(self) -> int:
        """Number of elements per sample."""
        return sum(map(math.prod, self.shapes))

    @property
    def bytes_per_sample(self) -> int:
        """Number of bytes per sample, uncompressed."""
        return self.features * self.dtype.itemsize

    def pack(self, tensors: Tensor | Sequence[Tensor]) -> Tensor:
        """Concatenate the crossing tensors to one of shape (batch, features); a single one is not copied."""
        several = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
        rows = [
            tensor.reshape(len(tensor), math.prod(shape))
            for tensor, shape in zip(several, self.shapes, strict=True)
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)

    def unpack(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Return the crossing tensors as views of ``flat``, the result of `pack`.

        Raises:
            ValueError: the shape of ``flat`` is not (batch, features).
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
class LayoutProbe:
    """Shapes found by a forward pass.

    Attributes:
        smashed: Layout of the smashed data.
        output_shape: Shape of the network's output, without the batch dimension.
    """

    smashed: SmashedLayout
    output_shape: tuple[int, ...]


def infer_layout(
    network: SplitNetwork, input_shape: InputShape, input_dtype: torch.dtype | None = None
) -> LayoutProbe:
    """Determine the layout of the smashed data and the shape of the output by forward passes of zeros.

    The network and torch's random state do not change.

    Args:
        network: The split network.
        input_shape: Shape of one sample, without the batch dimension.
        input_dtype: Type of a single input; None for that of the client part's parameters.

    Raises:
        InputError: the network does not accept such samples, the first dimension of its smashed data or
            output is not the batch, or a buffer of the client part changes in training.
    """
    parts = network.client_part, network.server_part
    kind = input_dtype or next(network.client_part.parameters()).dtype
    with _restored_state(*parts):
        with torch.no_grad(), set_mode(*parts, training=False):
            smashed_of_2, output_of_2 = _forward(network, input_shape, kind, batch=2)
            smashed_of_3, output_of_3 = _forward(network, input_shape, kind, batch=3)
        layout = _layout(smashed_of_2, smashed_of_3)
        with set_mode(*parts, training=True):
            _check_training_step(network, input_shape, kind)
    if not _has_rows(output_of_2, output_of_3):
        problem = (
            "the model must return one tensor with a row for each sample, in evaluation and in training."
        )
        raise InputError.at(ARCHITECTURE, problem)
    return LayoutProbe(layout, tuple(output_of_2.shape[1:]))


def _forward(
    network: SplitNetwork, input_shape: InputShape, dtype: torch.dtype, batch: int
) -> tuple[tuple[Tensor, ...], Tensor]:
    device = next(network.client_part.parameters()).device
    samples = zeros(input_shape, batch, dtype, device)
    path, problem = _refused_samples(network, input_shape, dtype)
    with user_code(path, problem.format):
        smashed = call(network.client_part, samples)
        several = smashed if isinstance(smashed, tuple) else (smashed,)
        return several, network.server_part(*several)


def _refused_samples(network: SplitNetwork, shape: InputShape, dtype: torch.dtype) -> tuple[str, str]:
    """Return the field to blame, and what to say if the network does not take samples of a shape."""
    if isinstance(shape, NamedShapes):
        return INPUTS, f"the model does not accept the inputs {shape}: {{}}"
    kind = "samples" if dtype.is_floating_point else "integer samples"
    problem = f"the model does not accept {kind} of shape {tuple(shape)}: {{}}"
    if dtype.is_floating_point and _has_embedding(network):
        problem += "; set spec.data.inputType: Integer for a model that begins with an Embedding"
    return ARCHITECTURE, problem


def _has_embedding(network: SplitNetwork) -> bool:
    return any(isinstance(module, nn.Embedding | nn.EmbeddingBag) for module in network.client_part.modules())


def _check_training_step(network: SplitNetwork, input_shape: InputShape, dtype: torch.dtype) -> None:
    """Check by a forward pass as in training that no buffer of the client part changes and autograd works."""
    before = [buffer.clone() for buffer in network.client_part.buffers()]
    with torch.no_grad():
        smashed, _ = _forward(network, input_shape, dtype, batch=2)
    for (name, after), value in zip(network.client_part.named_buffers(), before, strict=True):
        if not after.is_meta and not torch.equal(after, value):
            problem = (
                f"'{name}' before the cut changes in every step, but clients keep no state between steps; "
                "cut before it."
            )
            raise InputError.at(CUT_LAYER, problem)
    problem = "the server part cannot be trained from the smashed data ({}); cut at another layer."
    with user_code(CUT_LAYER, problem.format):
        network.server_part(*(tensor.detach().requires_grad_() for tensor in smashed))


@contextmanager
def _restored_state(*parts: nn.Module) -> Iterator[None]:
    """Restore buffers and random states on exit."""
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


def _layout(of_2: tuple[Tensor, ...], of_3: tuple[Tensor, ...]) -> SmashedLayout:
    if not all(_has_rows(two, three) for two, three in zip(of_2, of_3, strict=True)):
        problem = (
            "the first dimension of a tensor that crosses the cut is not the batch; cut at another layer."
        )
        raise InputError.at(CUT_LAYER, problem)
    dtypes = {tensor.dtype for tensor in of_2}
    if len(dtypes) > 1 or not of_2[0].dtype.is_floating_point:
        found = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        problem = (
            f"only floating-point tensors of one type can cross the cut, not {found}; cut at another layer."
        )
        raise InputError.at(CUT_LAYER, problem)
    return SmashedLayout(tuple(tuple(tensor.shape[1:]) for tensor in of_2), of_2[0].dtype)


def _has_rows(two: object, three: object) -> bool:
    """Return whether outputs for two and three samples are tensors that differ in the batch size only."""
    if not isinstance(two, Tensor) or not isinstance(three, Tensor) or not two.dim():
        return False
    return len(two) == 2 and len(three) == 3 and two.shape[1:] == three.shape[1:]
