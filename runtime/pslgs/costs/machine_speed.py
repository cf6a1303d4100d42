"""Measures how fast this machine computes a network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch

from pslgs.costs.time_model import BACKWARD
from pslgs.model_inputs import InputShape, call, zeros
from pslgs.splitting.split_network import SplitNetwork
from pslgs.splitting.train_mode import set_mode

_LONGEST_PASS: Final = 0.3
_PASSES: Final = 5
MAX_SPREAD: Final = 2.0
"""Spread of a `Speed` above which it is doubtful."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed of this machine.

    Attributes:
        flops: Floating-point operations per second of the fastest pass.
        spread: Duration of the slowest pass, divided by that of the fastest; 1 if it was not measured.
    """

    flops: float
    spread: float = 1.0


def measured_speed(  # noqa: PLR0913, PLR0917 - what a pass depends on
    network: SplitNetwork,
    input_shape: InputShape,
    forward_flops: int,
    samples: int,
    threads: int,
    clock: Callable[[], float],
    input_dtype: torch.dtype | None = None,
) -> Speed:
    """Measure the floating-point operations per second of several forwards and backwards.

    A pass has fewer than ``samples`` samples if these would take long.  Parameters are not changed, gradients
    and buffers are.

    Args:
        network: The network.
        input_shape: Shape of one sample.
        forward_flops: Operations of the forward of one sample.
        samples: Samples of a usual local batch.
        threads: Number of threads per operation.
        clock: Returns seconds.
        input_dtype: Type of a single input; None for that of the parameters.
    """
    model = network.whole_model()
    dtype = input_dtype or next(model.parameters()).dtype

    def timed(rows: int) -> float:
        batch = zeros(input_shape, rows, dtype)
        began = clock()
        torch.autograd.backward(call(model, batch).sum())
        return clock() - began

    with set_mode(model, training=True), _computing_with(threads):
        timed(2)  # the first pass also allocates memory and selects algorithms
        rows = min(max(2, samples), max(2, int(2 * _LONGEST_PASS / timed(2))))
        durations = [timed(rows) for _ in range(_PASSES)]
    fastest = min(durations)
    return Speed(rows * (1 + BACKWARD) * max(1, forward_flops) / fastest, max(durations) / fastest)


@contextmanager
def _computing_with(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
