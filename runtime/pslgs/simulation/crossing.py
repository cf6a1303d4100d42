"""What compression makes of tensors that cross the cut."""

import torch
from torch import Tensor

from pslgs.spec.transport import Compression
from pslgs.training.task import Task
from pslgs.wire.codec import codec_for


class Crossing:
    """Lets rows cross the cut with the same loss as over a wire."""

    def __init__(self, task: Task, compression: Compression) -> None:
        self._layout = task.layout
        self._lossless = compression is Compression.NONE
        self._codec = codec_for(compression, task.layout.features, task.layout.dtype)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return what arrives of rows (rows, features) at the other side."""
        if self._lossless:
            return rows
        arrived = torch.empty(rows.shape, dtype=self._layout.dtype)
        buffer = self._codec.destination(arrived)
        buffer[:] = self._codec.encode(rows).cast("B")
        self._codec.decode(buffer, arrived)
        return arrived
