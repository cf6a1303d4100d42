from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Groups = dict[str, dict[str, Tensor]]


@pytest.fixture
def groups() -> Callable[[int], Groups]:
    """Tensors that say at which step they were saved."""

    def make(step: int, size: int = 100) -> Groups:
        model = {"layer.weight": torch.full((size,), float(step)), "layer.seen": torch.tensor(step)}
        return {"model": model, "optimizer": {"state.0.momentum_buffer": torch.full((size,), step / 3)}}

    return make
