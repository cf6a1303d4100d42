"""On how many cores the server and each client compute."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import torch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Threads:
    """On how many cores the server and each client compute; it decides the last bits of their results.

    Attributes:
        server: None for as many as torch is set to.
        client: Likewise.
    """

    server: int | None = None
    client: int | None = None


AS_TORCH_IS_SET: Final = Threads()


def on_cores(cores: int | None, compute: Callable[[], T]) -> T:
    """Compute on so many cores; None for as many as torch is set to."""
    if cores is not None and cores != torch.get_num_threads():
        torch.set_num_threads(cores)
    return compute()
